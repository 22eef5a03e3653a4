"""A user's own texts and questions in the kit's formats: documents to cut into passages, tables to questions."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from kit.data import load_questions
from kit.data.records import read_records, reading
from kit.types import KitError, Passage, Question

TEXTS = (".txt", ".md", ".jsonl", ".txt.gz", ".jsonl.gz")
TABLES = (".csv", ".tsv")


def documents(paths: Iterable[Path]) -> Iterator[Passage]:
    """The documents of files and of whole folders, one at a time, ids all different.

    A text file is one document, called after its name (in a folder: its path in it). In JSON Lines each line is one,
    with `text`, and `title` and `id` where there are some; without an id it is called after file and line.
    """
    seen: dict[str, str] = {}
    for path, name in _files(paths):
        records = _records(path, name) if ".jsonl" in path.suffixes else _text(path, name)
        for where, document in records:
            if document.id in seen:
                raise KitError(where, f"an id other than that of {seen[document.id]}", repr(document.id))
            seen[document.id] = where
            yield document


def _files(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(TEXTS))
            if not inside:
                raise KitError(str(path), f"a folder with files {', '.join(TEXTS)}", "none of them")
            yield from ((file, _name(file.relative_to(path).as_posix())) for file in inside)
        elif path.name.endswith(TEXTS):
            yield path, _name(path.name)
        else:
            raise KitError(str(path), f"a file that ends in {', '.join(TEXTS)}, or a folder", repr(path.name))


def _name(path: str) -> str:
    """A document's id: the path without its ending, and without blanks, which TREC's files cannot have in an id.

    >>> _name("my notes/first one.txt.gz")
    'my_notes/first_one'
    """
    for ending in (".gz", ".txt", ".md", ".jsonl"):
        path = path.removesuffix(ending)
    return "_".join(path.split())


def _text(path: Path, name: str) -> Iterator[tuple[str, Passage]]:
    with reading(path) as stream:
        try:
            text = stream.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise KitError(str(path), "text in UTF-8", error) from None
    yield str(path), Passage(name, name.rpartition("/")[2].replace("_", " "), text)


def _records(path: Path, name: str) -> Iterator[tuple[str, Passage]]:
    for line, record in read_records(path):
        where = f"{path}:{line}"
        text, title, given = record.get("text"), record.get("title"), record.get("id")
        if not isinstance(text, str) or not isinstance(title, str | None):
            key = "title" if isinstance(text, str) else "text"
            raise KitError(where, f"a string in {key!r}", f"{record.get(key)!r:.60}")
        if isinstance(given, bool) or not isinstance(given, str | int | None) or given == "":
            raise KitError(where, "an id that is a string or a whole number", repr(given))
        yield where, Passage(f"{name}:{line}" if given is None else str(given), title or "", text)


def questions_of(path: Path) -> list[Question]:
    """The questions of a FiD file (.json, .jsonl) or of a table (.csv, .tsv)."""
    if not path.name.removesuffix(".gz").endswith(TABLES):
        return load_questions(path)
    with reading(path) as stream:
        try:
            lines = stream.read().decode("utf-8-sig").splitlines(keepends=True)
        except UnicodeDecodeError as error:
            raise KitError(str(path), "text in UTF-8", error) from None
    return _rows(path, lines)


def _rows(path: Path, lines: list[str]) -> list[Question]:
    """Columns question, answers and id as the first line names them, or question and answers without such a line.

    Tabs part the columns where the first line has one, as in DPR's files, else commas.
    """
    rows = csv.reader(lines, delimiter="\t" if lines and "\t" in lines[0] else ",")
    names = ["question", "answers"]
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        where = f"{path}:{rows.line_num}"
        if number == 0 and "question" in (head := [cell.strip().lower() for cell in row]):
            names = ["answers" if name == "answer" else name for name in head]
            continue
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(names):
            raise KitError(where, f"{len(names)} columns ({', '.join(names)})", f"{len(row)} (quotes around commas?)")
        cells = dict(zip(names, row, strict=False))
        text, name = cells.get("question", "").strip(), cells.get("id", "").strip() or str(len(questions))
        if not text:
            raise KitError(where, "a question", "an empty cell")
        if name in seen:
            raise KitError(where, f"an id other than that of the question on line {seen[name]}", repr(name))
        seen[name] = rows.line_num
        questions.append(Question(name, text, _answers(where, cells.get("answers", ""))))
    if not questions:
        raise KitError(str(path), "questions", "none")
    return questions


def _answers(where: str, cell: str) -> tuple[str, ...]:
    """Answers of a cell: a list as JSON or Python write it, or answers parted by `|`.

    >>> _answers("", '["NYC", "New York"]'), _answers("", "NYC | New York"), _answers("", "")
    (('NYC', 'New York'), ('NYC', 'New York'), ())
    """
    cell = cell.strip()
    if not cell.startswith("["):
        return tuple(answer.strip() for answer in cell.split("|") if answer.strip())
    try:
        found = json.loads(cell)
    except ValueError:
        try:
            found = ast.literal_eval(cell)
        except (ValueError, SyntaxError):
            found = None
    if not isinstance(found, list) or not all(isinstance(answer, str) for answer in found):
        raise KitError(where, "answers parted by |, or a list of strings", f"{cell!r:.60}")
    return tuple(found)
