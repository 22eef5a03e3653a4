"""Found passages as HTML: a column for each retriever, and the list that is read; the same passage, the same letter.

Pure: tables and passages in, HTML out. Gold passages, whose text holds an accepted answer, have a star.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from kit.metrics import has_answer
from kit.plots.shading import contrast
from kit.plots.style import SERIES, nth, written
from kit.types import Passage, ScoreTable
from kit.widgets.passage_list import how_changed

IN_FULL = 20  # passages a column; of a longer one the first so many begin their texts, the others have titles alone
BEGINNING = 80  # characters


def letters_of(ids: Sequence[str]) -> dict[str, str]:
    """A letter for each passage, in their order: A ... Z, then AA ...

    >>> letters_of(["p7", "p3", "p7"])
    {'p7': 'A', 'p3': 'B'}
    """
    distinct = list(dict.fromkeys(ids))
    names = [chr(65 + n % 26) * (n // 26 + 1) for n in range(len(distinct))]
    return dict(zip(distinct, names, strict=True))


def gold_of(passages: Sequence[Passage], answers: Sequence[str]) -> list[bool]:
    """Whether each passage's text holds one of the answers; nowhere, without answers."""
    return [bool(answers) and has_answer(passage.text, answers) for passage in passages]


def badge(letter: str, *, shared: bool) -> str:
    """A passage's letter: on a colour where more than one retriever found the passage, in a frame otherwise."""
    colour = nth(SERIES, ord(letter[0]) - 65)
    look = f"background:{colour};border-color:{colour};color:{_text_on(colour)}" if shared else "border-style:dashed"
    return (
        f'<span style="display:inline-block;min-width:1.5em;text-align:center;border:1px solid;border-radius:.3em;'
        f'font-weight:700;line-height:1.5;{look}">{letter}</span>'
    )


def columns_html(
    found: Mapping[str, ScoreTable], corpus: Mapping[str, Passage], answers: Sequence[str], letters: Mapping[str, str]
) -> str:
    """One column a retriever, with its passages best first: score, letter, star, title, text (to unfold).

    `found` holds a table of one question for each retriever. Where one found more than 20 passages, only the first 20
    have a text, and of that the beginning: all would be too much for a click.
    """
    rows = {name: table.passages_of(table.question_ids[0]) for name, table in found.items()}
    many = max(map(len, rows.values()), default=0) > IN_FULL
    columns = []
    for name, ids in rows.items():
        scores = found[name].values[0].tolist()
        others = {other: there for other, there in rows.items() if other != name}
        items = []
        for place, (i, score) in enumerate(zip(ids, scores, strict=False)):
            also = [other for other, there in others.items() if i in there]
            line = _line_html(corpus[i], score, letters[i], answers, also)
            items.append(line if many and place >= IN_FULL else _unfolding(line, corpus[i], also, cut=many))
        listed = "".join(f'<li style="margin:.15em 0">{item}</li>' for item in items)
        listed = f'<ol style="margin:0;padding-left:2em">{listed}</ol>' if items else soft("nothing found")
        columns.append(f'<section style="min-width:0"><b>{escape(name)}</b>{listed}</section>')
    grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(17rem,100%),1fr));gap:.4rem 1.2rem"
    return f'<div style="{grid};line-height:1.45">{"".join(columns)}</div>'


def _line_html(passage: Passage, score: float, letter: str, answers: Sequence[str], also: Sequence[str]) -> str:
    star = "★ " if gold_of([passage], answers)[0] else ""
    told = f"also in {', '.join(also)}" if also else ""
    rated = f'<span style="opacity:.75" title="{escape(told)}">{written(score)}</span>'
    return f"{badge(letter, shared=bool(also))} {star}{escape(passage.title or passage.id)} {rated}"


def _unfolding(line: str, passage: Passage, also: Sequence[str], *, cut: bool) -> str:
    """A line that unfolds to the passage's text, or to its beginning."""
    text = f"{passage.text[:BEGINNING]}…" if cut and len(passage.text) > BEGINNING else passage.text
    more = soft(f"[{passage.id}]" + (f" also in {', '.join(also)}" if also else ""))
    return (
        f'<details><summary style="cursor:pointer">{line}</summary>'
        f'<div style="margin:.1em 0 .4em .3em">{escape(text)} {more}</div></details>'
    )


def list_html(
    passages: Sequence[Passage], corpus: Mapping[str, Passage], answers: Sequence[str], letters: Mapping[str, str]
) -> str:
    """The passages that are read, in their order, in full; what was changed says so."""
    items = []
    for passage, star in zip(passages, gold_of(passages, answers), strict=True):
        changed = how_changed(passage, corpus)
        items.append(
            f"<li>{badge(letters[passage.id], shared=False)} {'★ ' if star else ''}<b>{escape(passage.title)}</b> "
            f"{escape(passage.text)} {soft(f'({changed})' if changed else '')}</li>"
        )
    return f'<ol style="padding-left:1.6em;line-height:1.45">{"".join(items)}</ol>' if items else soft("no passages")


def soft(text: str) -> str:
    """A remark: small and pale."""
    return f'<small style="opacity:.75">{escape(text)}</small>'


def _text_on(colour: str) -> str:
    rgb = tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#000" if contrast(rgb, (0, 0, 0)) > contrast(rgb, (255, 255, 255)) else "#fff"
