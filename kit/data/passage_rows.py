"""The rows of a file of passages (psgs_w100's TSV, JSON Lines): where each begins, its id, and what it holds."""

from __future__ import annotations

import mmap
import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kit.data.records import LONGEST_LINE, parse_line, reading, warn
from kit.types import KitError, Passage

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


def read_rows(path: Path, ending: str) -> tuple[mmap.mmap | bytes, tuple[str, ...] | None, np.ndarray, np.ndarray]:
    """The file's bytes, its columns (None of JSON Lines), and each passage's offset (x,) and id (x,).

    Raises `KitError` for a broken row, with its line.
    """
    data = _mapped(path)
    if ending == ".tsv":
        columns, begin = _columns_of(path, data)
        return data, columns, *_index_of(_tsv_rows(path, data, columns, begin))
    return data, None, *_index_of(_json_rows(path, data))


def passage_at(data: mmap.mmap | bytes, columns: tuple[str, ...] | None, offset: int) -> Passage:
    """The passage that begins at an offset of the bytes."""
    if columns is None:
        return _passage_of(parse_line(_LINE.match(data, offset)[0]))  # type: ignore[index]
    row = _ROWS[len(columns)].match(data, offset).groups()  # type: ignore[union-attr]
    cells = dict(zip(columns, map(_unquoted, row), strict=True))
    return Passage(cells["id"], cells.get("title", ""), cells["text"])


def _mapped(path: Path) -> mmap.mmap | bytes:
    with reading(path) as stream:
        if path.suffix == ".gz" or not path.stat().st_size:
            return stream.read()
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _index_of(rows: Iterator[tuple[int, bytes]]) -> tuple[np.ndarray, np.ndarray]:
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


def _columns_of(path: Path, data: mmap.mmap | bytes) -> tuple[tuple[str, ...], int]:
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
            raise KitError(place_of(path, data, end), wanted, _shown(row[0][:200]))
        if any(cell[:1] == b'"' and (b"\n" in cell or b"\t" in cell) for cell in row.groups()):
            split.append(end)
        yield end, passage_id
        end = row.end()
    if end < len(data):
        line = data[end : end + 200].split(b"\n")[0]
        names = f"{COUNTS.get(len(columns), len(columns))} columns {', '.join(columns)}"
        wanted = f"{names}; quotes at both ends of a field that begins with one"
        spare = " (a tab at the end of the line?)" if line.rstrip(b"\r").endswith(b"\t") else ""
        raise KitError(place_of(path, data, end), f"{wanted}, those inside doubled", f"{_shown(line)}{spare}")
    if split:
        what = "passage with a tab or line end in its text (a quote that is never closed?)"
        warn(place_of(path, data, split[0]), what, len(split))


def _json_rows(path: Path, data: mmap.mmap | bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(_LINE.finditer(data), start=1):
        if len(line[0]) > LONGEST_LINE:
            raise KitError(f"{path}:{number}", f"lines of at most {LONGEST_LINE:,} bytes", f"{len(line[0]):,}")
        if line[0].strip():
            try:
                yield line.start(), _passage_of(parse_line(line[0])).id.encode()
            except KitError as error:
                raise KitError(f"{path}:{number}", error.wanted, error.given) from None


def _passage_of(record: object) -> Passage:
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


def quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if any(mark in field for mark in '"\t\r\n') else field


def _shown(row: bytes) -> str:
    return f"{row.decode(errors='replace').strip()!r:.80}"


def place_of(path: Path, data: mmap.mmap | bytes, offset: int) -> str:
    step = 1 << 24
    lines = sum(data[start : min(start + step, offset)].count(b"\n") for start in range(0, offset, step))
    return f"{path}:{lines + 1}"
