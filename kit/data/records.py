"""JSON records of a file, one at a time, each with the line it begins on; files written aside; gzip in and out.

Knows no field of a question or passage: `kit.data` and `kit.data.corpus` say what a record means.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn, TextIO

from kit.arguments import instance_of
from kit.data.json_lists import LONGEST_LINE, Broken, list_items, refuse_half_characters
from kit.files import written_aside
from kit.types import KitError

Complain = Callable[[KitError], None]
MOST_UNPACKED = 300  # times the size of a gzip file; text takes 3 to 5 times


def file_format(path: str | Path, wanted: Collection[str]) -> str:
    """The ending of a file's name before `.gz`, one of `wanted`; another is a `KitError`.

    >>> file_format("train.jsonl.gz", {".json", ".jsonl"})
    '.jsonl'
    """
    path = Path(instance_of("file", path, str | Path, "a path"))
    ending = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if ending not in wanted:
        raise KitError(str(path), f"a name that ends in {' or '.join(sorted(wanted))} (and .gz)", repr(path.name))
    return ending


class DataWarning(UserWarning):
    """Something strange in a file that is read all the same: where first, what, and how often."""

    def __init__(self, where: str, what: str, count: int = 1) -> None:
        self.where, self.what, self.count = where, what, count
        super().__init__(f"{where}: {what}" + (f" ({count:,} times in the file)" if count > 1 else ""))


def warn(where: str, what: str, count: int = 1) -> None:
    """A warning about a file that is read all the same."""
    warnings.warn(DataWarning(where, what, count), stacklevel=3)


class _Bounded(io.RawIOBase):
    """What a gzip file unpacks to, up to a bound: a file made to fill a disk or memory is an error."""

    def __init__(self, path: str | Path) -> None:
        self.path, self.stream = path, gzip.open(path, "rb")  # noqa: SIM115 (closed by close)
        self.rest = MOST_UNPACKED * Path(path).stat().st_size + (1 << 20)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.stream.read1(len(buffer))
        self.rest -= len(data)
        if self.rest < 0:
            raise KitError(
                str(self.path), f"a gzip file that unpacks to {MOST_UNPACKED} times its size at most", "more"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.stream.close()
        super().close()


@contextmanager
def reading(path: str | Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where its name ends in `.gz`; a missing or broken file is a `KitError`."""
    try:
        gzipped = str(path).endswith(".gz")
        with io.BufferedReader(_Bounded(path), 1 << 16) if gzipped else open(path, "rb") as stream:
            yield stream  # type: ignore[misc]
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise KitError(str(path), "a gzip file", "one that is not packed, or does not unpack") from None
        raise KitError(str(path), "a file that can be read", error.strerror or error) from None
    except (EOFError, zlib.error) as error:
        raise KitError(str(path), "a whole gzip file", error) from None


@contextmanager
def writing(path: str | Path) -> Iterator[TextIO]:
    """A text stream (UTF-8, gzip for `.gz`) whose file takes its place when the block ends well, and else vanishes.

    The same text gives the same bytes: a gzip file carries neither name nor time.
    """
    with written_aside(path) as aside, open(aside, "wb") as raw:
        stream: Any = raw
        if str(path).endswith(".gz"):
            stream = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)
        with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
            yield text


@contextmanager
def writing_records(path: str | Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes one record: a line of a `.jsonl` file, an item of the list in a `.json` file."""
    listed = file_format(path, (".json", ".jsonl")) == ".json"
    with writing(path) as text:
        separator = "[\n" if listed else ""

        def write(record: dict[str, Any]) -> None:
            nonlocal separator
            text.write(separator + json.dumps(record, ensure_ascii=False, allow_nan=False))
            separator = ",\n" if listed else "\n"

        yield write
        if listed:
            text.write("[]\n" if separator == "[\n" else "\n]\n")
        elif separator:
            text.write("\n")


def read_records(path: str | Path, on_error: Complain | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, record) for each object of a JSON Lines file or of a JSON list, without reading the file whole.

    What the file holds is seen from its first character: `[` begins a list. Blank lines are passed over. A line that is
    no JSON object is a `KitError`; with `on_error` it is handed to that function and reading goes on where it can.
    """
    complain = on_error or _raise
    file_format(path, (".json", ".jsonl"))
    with reading(path) as stream:
        head = stream.peek(4096)  # type: ignore[attr-defined]
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return complain(KitError(str(path), "text in UTF-8", "UTF-16 (save it as UTF-8)"))
        head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if head[:1] == b"[":
            items = list_items(path, stream)
        elif re.match(rb'\{(?:[ \t\r]*(?:\n|$)|\s*"(?:version|data)")', head):  # over many lines, or SQuAD's
            items = _one_object(path, stream)
        else:
            items = _line_items(path, stream, complain)
        try:
            for line, item in items:
                if isinstance(item, dict):
                    yield line, item
                else:
                    complain(KitError(f"{path}:{line}", "a JSON object", f"{type(item).__name__} {item!r:.60}"))
        except UnicodeDecodeError as error:
            complain(KitError(str(path), "text in UTF-8", error))
        except Broken as broken:
            complain(broken.error)


def _raise(error: KitError) -> NoReturn:
    raise error


def _one_object(path: str | Path, stream: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """The one object of a file that is written over many lines."""
    try:
        text = stream.read(1 << 30).decode("utf-8-sig").lstrip()
        value, end = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        raise Broken(KitError(f"{path}:{error.lineno}", "a JSON object, or one a line", error.msg)) from None
    except RecursionError as error:
        raise Broken(KitError(str(path), "a JSON object", error)) from None
    if text[end:].strip():
        line = text.count("\n", 0, end) + 2
        wanted = "one JSON list of objects, or one object a line"
        raise Broken(KitError(f"{path}:{line}", wanted, "several objects, each over many lines"))
    yield 1, value


def lines_of(path: str | Path, stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """(number, line) of a file, from 1; a line of more than `LONGEST_LINE` bytes is a `KitError`."""
    for number in itertools.count(1):
        line = stream.readline(LONGEST_LINE + 1)
        if len(line) > LONGEST_LINE:
            raise KitError(f"{path}:{number}", f"lines of at most {LONGEST_LINE:,} bytes", "a longer one")
        if not line:
            return
        yield number, line


def _line_items(path: str | Path, stream: IO[bytes], complain: Complain) -> Iterator[tuple[int, Any]]:
    for number, line in lines_of(path, stream):
        if not line.strip():
            continue
        try:
            item = parse_line(line)
        except KitError as error:
            complain(KitError(f"{path}:{number}", error.wanted, error.given))
            continue
        yield number, item


def parse_line(line: bytes) -> Any:
    """The value of one line of JSON; broken JSON, broken UTF-8 and lone surrogates are `KitError`s."""
    try:
        text = line.decode("utf-8-sig")
        value = json.loads(text)
        refuse_half_characters(text, value)
    except json.JSONDecodeError as error:
        given = f"{line.decode(errors='replace').strip()!r:.60}"
        raise KitError(
            "line", "one whole JSON object a line", f"{error.msg} at column {error.colno} of {given}"
        ) from None
    except (UnicodeError, RecursionError) as error:
        raise KitError("line", "text in UTF-8, of whole characters", error) from None
    return value
