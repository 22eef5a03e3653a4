"""Passages: a Corpus in memory or over a file (psgs_w100's TSV, JSON Lines), and cutting texts into passages.

A file is not turned into objects: it stays where it is (memory-mapped; a gzip file unpacks into memory), beside an
index of offsets and ids of some 24 bytes a passage: half a gigabyte for the 21 million passages of Wikipedia.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from kit.arguments import instance_of, whole_number
from kit.data.passage_rows import passage_at, place_of, quoted, read_rows
from kit.data.records import file_format, writing, writing_records
from kit.types import KitError, Passage

FORMATS = (".tsv", ".jsonl")


class Corpus(Mapping[str, Passage]):
    """Passages by id, in their order: `corpus["7"]`, `len(corpus)`, `"7" in corpus`, `corpus.values()`.

    >>> corpus = Corpus([Passage("a", "France", "In Paris."), Passage("b", "Italy", "In Rome.")])
    >>> corpus["b"].title, list(corpus), [passage.id for passage in corpus.passages(1)]
    ('Italy', ['a', 'b'], ['b'])
    """

    def __init__(self, passages: Iterable[Passage] = ()) -> None:
        self._by_id: dict[str, Passage] = {}
        for passage in passages:
            if passage.id in self._by_id:
                raise KitError("corpus", "passage ids that differ", f"{passage.id!r} twice")
            self._by_id[passage.id] = passage

    def __getitem__(self, passage_id: str) -> Passage:
        return self._by_id[passage_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def passages(self, start: int = 0, stop: int | None = None) -> Iterator[Passage]:
        """The passages at positions `start` to `stop`, in order, one at a time."""
        return islice(self._by_id.values(), *slice(start, stop).indices(len(self)))

    def values(self) -> ValuesView[Passage]:
        """The passages, in order; a corpus over a file reads them from front to back."""
        return _Passages(self)

    def items(self) -> ItemsView[str, Passage]:
        """(id, passage) pairs, in order."""
        return _Items(self)

    def __repr__(self) -> str:
        return f"Corpus({len(self)} passages)"

    def _repr_html_(self) -> str:
        first = "".join(passage._repr_html_() for passage in self.passages(0, 3))
        return f"<p>{self!r}</p>{first}"


class _Passages(ValuesView[Passage]):
    def __iter__(self) -> Iterator[Passage]:
        return self._mapping.passages()  # type: ignore[attr-defined]


class _Items(ItemsView[str, Passage]):
    def __iter__(self) -> Iterator[tuple[str, Passage]]:
        return ((passage.id, passage) for passage in self._mapping.passages())  # type: ignore[attr-defined]


class FileCorpus(Corpus):
    """A corpus that reads each passage from its file when asked for. Made by `load_passages`; sent to another process,
    it opens the file again there."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._data, self._columns, self._offsets, self._ids = read_rows(self.path, file_format(path, FORMATS))
        if not len(self._ids):
            raise KitError(str(path), "passages", "none")
        self._order = np.argsort(self._ids, kind="stable")
        self._refuse_repeated_ids()

    def _refuse_repeated_ids(self) -> None:
        step = 1 << 20
        for start in range(0, len(self._order) - 1, step):
            ids = self._ids[self._order[start : start + step + 1]]
            same = np.flatnonzero(ids[1:] == ids[:-1])
            if len(same):
                position = int(self._order[start + same[0] + 1])
                raise KitError(self._where(position), "an id that no other passage has", repr(ids[same[0]].decode()))

    def _where(self, position: int) -> str:
        return place_of(self.path, self._data, int(self._offsets[position]))

    def _at(self, position: int) -> Passage:
        try:
            return passage_at(self._data, self._columns, int(self._offsets[position]))
        except UnicodeDecodeError as error:
            raise KitError(self._where(position), "text in UTF-8", error) from None
        except KitError as error:
            raise KitError(self._where(position), error.wanted, error.given) from None

    def __getitem__(self, passage_id: str) -> Passage:
        key = passage_id.encode(errors="replace") if isinstance(passage_id, str) else b""
        place = int(np.searchsorted(self._ids, np.array(key, self._ids.dtype), sorter=self._order))
        if place < len(self._order) and self._ids[self._order[place]] == key:
            return self._at(int(self._order[place]))
        raise KeyError(passage_id)

    def __iter__(self) -> Iterator[str]:
        return (passage_id.decode() for passage_id in self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def passages(self, start: int = 0, stop: int | None = None) -> Iterator[Passage]:
        """The passages at positions `start` to `stop`, in order, one at a time."""
        return (self._at(position) for position in range(*slice(start, stop).indices(len(self))))

    def __reduce__(self) -> tuple[Any, ...]:
        return FileCorpus, (self.path,)


def load_passages(path: str | Path) -> Corpus:
    """The passages of a file, in its order: `.tsv` or `.jsonl`, either with `.gz`.

    TSV has columns id, text, title (psgs_w100) or id, text (MS MARCO's collection), or those that a header names, in
    any order and case; with csv quoting (a field that holds a quote, tab or line end stands in quotes, a quote inside
    is doubled). JSON Lines has `id` (BEIR: `_id`), `text` (pyserini: `contents`) and, if there is one, `title`. An
    uncompressed file is mapped, not read: unpack what is larger than memory.
    Broken rows and repeated ids are `KitError`s that name file and line; broken UTF-8 is found when the row is read.
    Source: FiD, src/util.py (columns); Karpukhin et al. 2020, section 4.1 (psgs_w100).
    """
    return FileCorpus(instance_of("load_passages", path, str | Path, "a path"))


def save_passages(path: str | Path, passages: Iterable[Passage] | Mapping[str, Passage]) -> None:
    """Write passages (a Corpus, or any passages one at a time) in the format that the name of the file tells."""
    ending = file_format(path, FORMATS)
    stream = passages.values() if isinstance(passages, Mapping) else passages
    if ending == ".tsv":
        with writing(path) as text:
            text.write("id\ttext\ttitle\n")
            for passage in stream:
                text.write("\t".join(map(quoted, (passage.id, passage.text, passage.title))) + "\n")
        return
    with writing_records(path) as write:
        for passage in stream:
            write({"id": passage.id, "title": passage.title, "text": passage.text})


def cut_passages(documents: Iterable[Passage], words: int = 100) -> Iterator[Passage]:
    """Disjoint blocks of `words` words of each document, as passages `<document id>-0`, `-1` ... with its title.

    Words are what white space parts, joined by single blanks; a document's last block may be shorter, and one without
    words gives none. psgs_w100 counts words alike, but numbers its passages from 1 over all articles, and an article's
    title stands in its first block's text as well as apart.
    Source: Karpukhin et al. 2020, section 4.1.

    >>> [(p.id, p.text) for p in cut_passages([Passage("7", "Nile", "The Nile  flows to the sea.")], words=4)]
    [('7-0', 'The Nile flows to'), ('7-1', 'the sea.')]
    """
    words = whole_number("cut_passages", "words", words)
    for document in documents:
        tokens = document.text.split()
        for number, start in enumerate(range(0, len(tokens), words)):
            text = " ".join(tokens[start : start + words])
            yield Passage(f"{document.id}-{number}", document.title, text)
