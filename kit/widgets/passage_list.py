"""The passages on the reading desk, in their order, and what can be done to them: edit, drop, add, move.

Pure: a tuple of passages in, another out; places count from 0. An edited passage keeps its id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kit.types import KitError, Passage

Passages = tuple[Passage, ...]
OWN = "own-"  # how the ids of passages begin that were written on the desk


def edited(passages: Sequence[Passage], place: int, text: str, *, title: str | None = None) -> Passages:
    """The passages with another text, and another title if one is given, at `place`.

    >>> edited((Passage("a", "Nile", "A river."),), 0, "A canal.")[0].text
    'A canal.'
    """
    old = passages[_checked(passages, place)]
    new = replace(old, text=text, title=old.title if title is None else title)
    return (*passages[:place], new, *passages[place + 1 :])


def dropped(passages: Sequence[Passage], place: int) -> Passages:
    """The passages without the one at `place`."""
    _checked(passages, place)
    return (*passages[:place], *passages[place + 1 :])


def added(passages: Sequence[Passage], passage: Passage, place: int | None = None) -> Passages:
    """The passages with one more, at `place` or at the end; one that is there already is a `KitError`."""
    if any(passage.id == other.id for other in passages):
        raise KitError("add", "a passage that is not on the list", repr(passage.id))
    place = len(passages) if place is None else place
    if not 0 <= place <= len(passages):
        raise KitError("add", f"a place from 0 to {len(passages)}", place)
    return (*passages[:place], passage, *passages[place:])


def moved(passages: Sequence[Passage], place: int, to: int) -> Passages:
    """The passages in another order: the one at `place` stands at `to`.

    >>> [p.id for p in moved([Passage(i, "", "") for i in "abc"], 2, 0)]
    ['c', 'a', 'b']
    """
    one = passages[_checked(passages, place)]
    _checked(passages, to)
    return added(dropped(passages, place), one, to)


def own_passage(passages: Sequence[Passage], title: str, text: str) -> Passage:
    """A passage of one's own, with an id that none of the others has.

    >>> own_passage([Passage("own-1", "", "")], "Nile", "A river.").id
    'own-2'
    """
    taken = {passage.id for passage in passages}
    number = next(number for number in range(1, len(taken) + 2) if f"{OWN}{number}" not in taken)
    return Passage(f"{OWN}{number}", title, text)


def how_changed(passage: Passage, corpus: Mapping[str, Passage]) -> str:
    """ "your own", "edited" or "": what the desk has made of a passage of the corpus.

    >>> how_changed(Passage("a", "Nile", "A canal."), {"a": Passage("a", "Nile", "A river.")})
    'edited'
    """
    if passage.id not in corpus:
        return "your own"
    return "" if corpus[passage.id] == passage else "edited"


def _checked(passages: Sequence[Passage], place: int) -> int:
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(passages):
        wanted = f"a place from 0 to {len(passages) - 1}" if passages else "a place on a list that is not empty"
        raise KitError("place of a passage", wanted, repr(place))
    return place
