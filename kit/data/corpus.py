"""Passages: a Corpus in memory or over a file (psgs_w100's TSV, JSON Lines), and cutting texts into passages.

A file is not turned into objects: it stays where it is (memory-mapped; a gzip file unpacks into memory), beside an
index of offsets and ids of some 24 bytes a passage: half a gigabyte for the 21 million passages of Wikipedia.
"""

from __future__ import annotations

import mmap
import re
from array import array
from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from kit.arguments import instance_of, whole_number
from kit.data.records import LONGEST_LINE, file_format, parse_line, reading, warn, writing, writing_records
from kit.types import KitError, Passage

FORMATS = (".tsv", ".jsonl")
COUNTS = {2: "two", 3: "three", 4: "four"}
JSON_IDS, JSON_TEXTS = ("id", "_id", "docid", "pid", "passage_id"), ("text", "contents", "passage")
_FIELD = rb'("[^"]*+(?:""[^"]*+)*+"|[^"\t\r\n][^\t\r\n]*+|)'
_ROWS = {count: re.compile(rb"\t".join([_FIELD] * count) + rb"(?:(?:\r?\n)++|\Z)") for count in range(1, 9)}
HEADER = {
    "id": {"id", "_id", "pid", "docid", "doc_id", "did", "passage_id", "psg_id", "document_id"},
    "text": {"text", "passage", "texts", "passages", "contents", "content", "body", "passage_text", "document"},
    "title": {"title", "titles", "heading"},
}
_COLUMN_OF = {word: column for column, words in HEADER.items() for word in words}
_OTHER_TABLES = {"query-id", "corpus-id", "qid", "query", "question", "score", "answers", "answer", "url"}
_BLANK = re.compile(rb"[\r\n]*+")
_LINE = re.compile(rb"[^\n]*+(?:\n|\Z)")


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
        self.path, self._format = Path(path), file_format(path, FORMATS)
        self._data = _mapped(self.path)
        self._columns, begin = _columns(self.path, self._data) if self._format == ".tsv" else (("id",), 0)
        if self._format == ".tsv":
            rows = _tsv_rows(self.path, self._data, self._columns, begin)
        else:
            rows = _json_rows(self.path, self._data)
        self._offsets, self._ids = _index(rows)
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
        return _place(self.path, self._data, int(self._offsets[position]))

    def _at(self, position: int) -> Passage:
        start = int(self._offsets[position])
        try:
            if self._format == ".tsv":
                row = _ROWS[len(self._columns)].match(self._data, start).groups()  # type: ignore[union-attr]
                cells = dict(zip(self._columns, map(_unquoted, row), strict=True))
                return Passage(cells["id"], cells.get("title", ""), cells["text"])
            return _passage(parse_line(_LINE.match(self._data, start).group()))  # type: ignore[union-attr]
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
                text.write("\t".join(map(_quoted, (passage.id, passage.text, passage.title))) + "\n")
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


def _mapped(path: Path) -> mmap.mmap | bytes:
    with reading(path) as stream:
        if path.suffix == ".gz" or not path.stat().st_size:
            return stream.read()
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _index(rows: Iterator[tuple[int, bytes]]) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (x,) int64 and ids (x,) bytes, gathered by a million so that few Python objects live at once."""
    offsets, ids, done = array("q"), [], []
    for offset, passage_id in rows:
        offsets.append(offset)
        ids.append(passage_id)
        if len(ids) == 1 << 20:
            done.append(np.array(ids, dtype=np.bytes_))
            ids = []
    done.append(np.array(ids, dtype=np.bytes_))
    return np.frombuffer(offsets, dtype=np.int64), np.concatenate(done)


def _columns(path: Path, data: mmap.mmap | bytes) -> tuple[tuple[str, ...], int]:
    """The columns of a TSV file, and where its first passage begins: behind the header, if there is one."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise KitError(str(path), "text in UTF-8", "UTF-16 (save it as UTF-8)")
    begin = _BLANK.match(data, 3 if data[:3] == b"\xef\xbb\xbf" else 0).end()  # type: ignore[union-attr]
    line = _LINE.match(data, begin)[0][: 1 << 16]  # type: ignore[index]
    head = [
        cell.decode(errors="replace").strip('" ').lower().replace(" ", "_")
        for cell in line.rstrip(b"\r\n").split(b"\t")
    ]
    words = {*_COLUMN_OF, *_OTHER_TABLES}
    if all(re.fullmatch(r"[\w.-]{1,24}", word) or not word for word in head) and (
        head[0] in words or sum(word in words for word in head) > 1
    ):
        names = tuple(_COLUMN_OF.get(word, f"column {number}") for number, word in enumerate(head, start=1))
        if names.count("id") != 1 or names.count("text") != 1 or len(names) > max(_ROWS):
            raise KitError(f"{path}:1", "a header with the columns id, text and, if there is one, title", _shown(line))
        return names, _BLANK.match(data, begin + len(_LINE.match(data, begin)[0])).end()  # type: ignore
    two = not _ROWS[3].match(data, begin) and _ROWS[2].match(data, begin)
    return (("id", "text") if two else ("id", "text", "title")), begin


def _tsv_rows(path: Path, data: mmap.mmap | bytes, columns: tuple[str, ...], end: int) -> Iterator[tuple[int, bytes]]:
    """(offset, id) of each row from `end` on."""
    pattern, place = _ROWS[len(columns)], columns.index("id") + 1
    split: list[int] = []
    while row := pattern.match(data, end):
        passage_id = _unquoted(row[place]).encode()
        if not passage_id or row.end() - end > LONGEST_LINE:
            wanted = f"rows of at most {LONGEST_LINE:,} bytes" if passage_id else "an id"
            raise KitError(_place(path, data, end), wanted, _shown(row[0][:200]))
        if any(cell[:1] == b'"' and (b"\n" in cell or b"\t" in cell) for cell in row.groups()):
            split.append(end)
        yield end, passage_id
        end = row.end()
    if end < len(data):
        line = data[end : end + 200].split(b"\n")[0]
        names = f"{COUNTS.get(len(columns), len(columns))} columns {', '.join(columns)}"
        wanted = f"{names}; quotes at both ends of a field that begins with one"
        spare = " (a tab at the end of the line?)" if line.rstrip(b"\r").endswith(b"\t") else ""
        raise KitError(_place(path, data, end), f"{wanted}, those inside doubled", f"{_shown(line)}{spare}")
    if split:
        what = "passage with a tab or line end in its text (a quote that is never closed?)"
        warn(_place(path, data, split[0]), what, len(split))


def _json_rows(path: Path, data: mmap.mmap | bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(_LINE.finditer(data), start=1):
        if len(line[0]) > LONGEST_LINE:
            raise KitError(f"{path}:{number}", f"lines of at most {LONGEST_LINE:,} bytes", f"{len(line[0]):,}")
        if line[0].strip():
            try:
                yield line.start(), _passage(parse_line(line[0])).id.encode()
            except KitError as error:
                raise KitError(f"{path}:{number}", error.wanted, error.given) from None


def _passage(record: object) -> Passage:
    if not isinstance(record, dict):
        raise KitError("line", "a JSON object", f"{record!r:.60}")
    keys = {}
    for column, names in (("id", JSON_IDS), ("text", JSON_TEXTS)):
        keys[column] = next((name for name in names if record.get(name) is not None), None)
        if keys[column] is None:
            raise KitError("line", f"a passage with {column!r}", f"the keys {sorted(record)}")
    passage_id, title, text = record[keys["id"]], record.get("title"), record[keys["text"]]
    return Passage(str(passage_id) if type(passage_id) is int else passage_id, "" if title is None else title, text)


def _unquoted(field: bytes) -> str:
    return (field[1:-1].replace(b'""', b'"') if field[:1] == b'"' else field).decode()


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if any(mark in field for mark in '"\t\r\n') else field


def _shown(row: bytes) -> str:
    return f"{row.decode(errors='replace').strip()!r:.80}"


def _place(path: Path, data: mmap.mmap | bytes, offset: int) -> str:
    step = 1 << 24
    lines = sum(data[start : min(start + step, offset)].count(b"\n") for start in range(0, offset, step))
    return f"{path}:{lines + 1}"
