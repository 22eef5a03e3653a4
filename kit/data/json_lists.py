"""The items of a JSON list, one at a time, from a file that may be larger than memory."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

from kit.types import KitError

LONGEST_LINE = 1 << 24  # bytes; a record of a hundred passages takes some 100 kB
PIECE = 1 << 20  # characters read at a time from a JSON list


class Broken(Exception):
    """Reading cannot go on: what was wrong."""

    def __init__(self, error: KitError) -> None:
        self.error = error


def list_items(path: str | Path, stream: BinaryIO | IO[bytes]) -> Iterator[tuple[int, Any]]:
    """(line, item) of a JSON list, one at a time; raises `Broken` where it cannot go on."""
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        window = _Window(path, text)
        window.take("[")
        if window.next_character() == "]":
            window.take("]")
            return window.refuse_more()
        while True:
            window.next_character()
            yield window.line, window.take_value()
            if window.take(",]") == "]":
                return window.refuse_more()


class _Window:
    """The part of a JSON text that is in memory, read from `position` on."""

    def __init__(self, path: str | Path, text: TextIO) -> None:
        self.path, self.text = path, text
        self.buffer, self.position, self.line = "", 0, 1

    def fill(self) -> bool:
        """Drop what was read, double what is there; False at the file's end."""
        more = self.text.read(max(PIECE, len(self.buffer) - self.position))
        self.buffer, self.position = self.buffer[self.position :] + more, 0
        return bool(more)

    def move(self, position: int) -> None:
        self.line += self.buffer.count("\n", self.position, position)
        self.position = position

    def next_character(self) -> str:
        """The next character that is not white space, "" at the end; `position` and `line` stand on it."""
        while True:
            rest = len(self.buffer) - self.position
            while rest and self.buffer[self.position] in " \t\r\n":
                self.move(self.position + 1)
                rest -= 1
            if rest or not self.fill():
                return self.buffer[self.position : self.position + 1]

    def take(self, wanted: str) -> str:
        found = self.next_character()
        if not found or found not in wanted:
            raise Broken(KitError(f"{self.path}:{self.line}", f"{' or '.join(wanted)} of a JSON list", repr(found)))
        self.move(self.position + 1)
        return found

    def refuse_more(self) -> None:
        if found := self.next_character():
            raise Broken(KitError(f"{self.path}:{self.line}", "nothing after the JSON list", repr(found)))

    def take_value(self) -> Any:
        """The value at `position`. An error far from the buffer's end is one of the text, not of the cut."""
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.buffer, self.position)
            except RecursionError as error:
                raise Broken(KitError(f"{self.path}:{self.line}", "a JSON list of objects", error)) from None
            except json.JSONDecodeError as error:
                if len(self.buffer) - self.position > LONGEST_LINE:
                    wanted, given = f"objects of at most {LONGEST_LINE:,} characters", "a longer one, or a broken one"
                    raise Broken(KitError(f"{self.path}:{self.line}", wanted, given)) from None
                cut = error.pos >= len(self.buffer) - 16 or error.msg.startswith("Unterminated string")
                if cut and self.fill():
                    continue
                line = self.line + self.buffer.count("\n", self.position, error.pos)
                raise Broken(KitError(f"{self.path}:{line}", "a JSON list of objects", error.msg)) from None
            try:
                refuse_half_characters(self.buffer[self.position : end], value)
            except UnicodeError as error:
                raise Broken(KitError(f"{self.path}:{self.line}", "text of whole characters", error)) from None
            self.move(end)
            return value


def refuse_half_characters(text: str, value: Any) -> None:
    """Raises `UnicodeError` for a value with half of a pair of surrogates."""
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()
