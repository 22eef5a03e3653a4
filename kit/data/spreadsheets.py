"""Tables of questions: spreadsheets (`,` `;` tab, `sep=`), DPR's qa files, MS MARCO's and pyserini's topics.

A header is recognised by its words, in any order and case. Without one, the columns are told apart by what they hold:
(question), (id, question), (question, answers) or (id, question, answers).
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

from kit.data.records import LONGEST_LINE, reading, warn
from kit.types import KitError, Question

ENDINGS = (".csv", ".tsv", ".txt")
HEADER = {
    "question": {"question", "questions", "query", "text", "question_text", "query_text"},
    "answers": {"answer", "answers", "reference", "references", "gold", "label", "labels"},
    "id": {"id", "_id", "qid", "query_id", "query-id", "question_id", "question-id", "topic", "number"},
}
_COLUMN_OF = {word: column for column, words in HEADER.items() for word in words}


def read_question_table(path: str | Path) -> list[Question]:
    """The questions of a table, in its order; without ids they are called "0", "1" ...

    Answers of a cell are a list as JSON or Python write it, or parted by `|`. Raises `KitError` for a header without
    a question column, rows of another width, an id given twice, and a table without questions.
    """
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        raise KitError(str(path), "questions", "an empty file")
    rest = list(rows)
    names, body = _columns(path, first, rest)
    questions: list[Question] = []
    lines: dict[str, int] = {}
    for line, row in body:
        where = f"{path}:{line}"
        while len(row) > len(names) and not row[-1].strip():
            row = row[:-1]  # a tab or comma at the end of the line
        if len(row) > len(names):
            raise KitError(where, f"{len(names)} columns ({', '.join(names)})", f"{len(row)} (quotes around commas?)")
        cells = dict(zip(names, (cell.strip() for cell in row), strict=False))
        name = cells.get("id") or str(len(questions))
        if not cells.get("question"):
            raise KitError(where, "a question", "an empty cell")
        if name in lines:
            raise KitError(where, f"an id other than that of the question on line {lines[name]}", repr(name))
        lines[name] = line
        questions.append(Question(name, cells["question"], answers_of_cell(where, cells.get("answers", ""))))
    if not questions:
        raise KitError(str(path), "questions", "a header alone")
    if "answers" in names and not any(question.answers for question in questions):
        warn(str(path), "a column of answers, all of them empty")
    return questions


def is_question_table(path: str | Path) -> bool:
    """Whether a table holds questions, by its ending or first rows; ids and texts without a header are passages."""
    if ".csv" in Path(path).suffixes:
        return True
    with reading(path) as stream:
        lines = stream.read(1 << 16).decode("utf-8-sig", errors="replace").splitlines()[:20]
    rows = [line.split("\t") for line in lines if line.strip()]
    if not rows:
        return False
    head = {cell.strip(' "').lower() for cell in rows[0]}
    lists = sum(row[-1].strip(' "').startswith("[") for row in rows) * 2 > len(rows)
    return bool(head & (HEADER["question"] - {"text"})) or (lists and {len(row) for row in rows} == {2})


def answers_of_cell(where: str, cell: str) -> tuple[str, ...]:
    """Answers of a cell: a list as JSON or Python write it, or answers parted by `|`.

    >>> answers_of_cell("", '["NYC", "New York"]'), answers_of_cell("", "NYC | New York"), answers_of_cell("", "")
    (('NYC', 'New York'), ('NYC', 'New York'), ())
    """
    cell = cell.strip()
    if not cell.startswith("["):
        return tuple(answer.strip() for answer in cell.split("|") if answer.strip())
    try:
        answers = json.loads(cell)
    except (ValueError, RecursionError):
        try:
            answers = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            answers = None
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise KitError(where, "answers parted by |, or a list of strings", f"{cell!r:.60}")
    return tuple(answers)


def _rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row that is not blank."""
    with reading(path) as stream:
        data = stream.read(1 << 30)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise KitError(str(path), "text in UTF-8 (a spreadsheet: CSV UTF-8)", "UTF-16")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise KitError(str(path), "text in UTF-8 (a spreadsheet: CSV UTF-8)", error) from None
    if "\r" in text and "\n" not in text:
        raise KitError(str(path), "lines that end in \\n or \\r\\n", "\\r alone (save it anew)")
    lines = text.replace("\r\n", "\n").split("\n")
    longest = max(range(len(lines)), key=lambda number: len(lines[number]))
    if len(lines[longest]) > LONGEST_LINE:
        raise KitError(f"{path}:{longest + 1}", f"lines of at most {LONGEST_LINE:,} characters", len(lines[longest]))
    named = re.fullmatch(r"sep=(.)", lines[0].strip("\r")) or re.fullmatch(r"sep=(\t)", lines[0])
    delimiter = named[1] if named else _delimiter([line for line in lines[:50] if line.strip()])
    skipped = 1 if named else 0
    if delimiter in (None, "\t"):
        yield from _tab_rows(path, lines[skipped:], skipped)
        return
    csv.field_size_limit(LONGEST_LINE)
    reader = csv.reader((f"{line}\n" for line in lines[skipped:]), delimiter=delimiter)
    broken = []
    try:
        for row in reader:
            if any("\n" in cell for cell in row):
                broken.append(reader.line_num + skipped)
            if any(cell.strip() for cell in row):
                yield reader.line_num + skipped, row
    except csv.Error as error:
        raise KitError(f"{path}:{reader.line_num + skipped}", "a row of a table", error) from None
    if broken:
        warn(f"{path}:{broken[0]}", "a line end inside a cell (a quote that is never closed?)", len(broken))


def _tab_rows(path: str | Path, lines: list[str], skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Rows parted by tabs, each on its own line; a quote that does not close on the line is a letter."""
    odd = []
    for number, line in enumerate(lines, start=skipped + 1):
        if not line.strip():
            continue
        cells = []
        for cell in line.rstrip("\r").split("\t"):
            quoted = re.fullmatch(r'\s*"((?:[^"]|"")*)"\s*', cell)
            cells.append(quoted[1].replace('""', '"') if quoted else cell)
            if not quoted and cell.lstrip().startswith('"'):
                odd.append(number)
        yield number, cells
    if odd:
        warn(f"{path}:{odd[0]}", "a cell that begins with a quote which does not close; it is kept as it is", len(odd))


def _delimiter(lines: list[str]) -> str | None:
    """What parts the columns: a tab where every line has one, else what gives all lines as many columns; or None."""
    for delimiter in ("\t", ";", ","):
        try:
            widths = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
        except csv.Error:
            continue
        if len(widths) == 1 and widths != {1}:
            return delimiter
    head = lines[0].lower() if lines else ""
    for delimiter in ("\t", ";", ","):
        if delimiter in head and {cell.strip(' "') for cell in head.split(delimiter)} & _COLUMN_OF.keys():
            return delimiter  # rows of different widths below a header
    return "\t" if any("\t" in line for line in lines) else None


def _columns(
    path: str | Path, first: tuple[int, list[str]], rest: list[tuple[int, list[str]]]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and the rows below them."""
    head = [cell.strip().lower() for cell in first[1]]
    head = [joined if (joined := word.replace(" ", "_")) in _COLUMN_OF else word for word in head]
    if len(head) == 1 and set(head[0].split("|")) & HEADER["question"] and "|" in head[0]:
        raise KitError(f"{path}:{first[0]}", "columns parted by a comma, a semicolon or a tab", first[1][0])
    names = [_COLUMN_OF.get(word, word or f"column {number}") for number, word in enumerate(head, start=1)]
    if "question" in names and all(_is_word(word) for word in head):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise KitError(f"{path}:{first[0]}", f"one column of {twice}", ", ".join(head))
        passed_over = [word for word, name in zip(head, names, strict=True) if word and name not in HEADER]
        if passed_over:
            warn(f"{path}:{first[0]}", f"columns passed over: {', '.join(passed_over)}")
        return names, rest
    below = [row for _, row in rest[:50]]
    if all(_is_word(word) for word in head) and below:
        spaced = sum(any(" " in cell.strip() for cell in row) for row in below)
        if spaced * 2 > len(below) or set(head) & _COLUMN_OF.keys():
            wanted = "a header that names a column question (or query), and answers and id if there are some"
            raise KitError(f"{path}:{first[0]}", wanted, ", ".join(first[1]))
    rows = [first, *rest]
    return _guessed(path, [row for _, row in rows[:200]], first[0]), rows


def _guessed(path: str | Path, rows: list[list[str]], line: int) -> list[str]:
    """The columns of a table without a header."""
    width = len(rows[0]) - (len(rows[0]) > 2 and not rows[0][-1].strip())
    ids = all(row[0].strip() and " " not in row[0].strip() for row in rows)
    lists = width == 2 and sum(row[-1].strip().startswith("[") for row in rows) * 2 > len(rows)
    spaced = sum(len(row) > 1 and " " in row[1].strip() for row in rows) * 2 > len(rows)
    columns = {
        1: ["question"],
        2: ["id", "question"] if ids and spaced and not lists else ["question", "answers"],
        3: ["id", "question", "answers"] if ids else ["question", "answers", "id"],
    }
    if width not in columns:
        raise KitError(f"{path}:{line}", "one to three columns, or a header that names them", f"{width} columns")
    return columns[width]


def _is_word(cell: str) -> bool:
    return bool(re.fullmatch(r"[^\W\d][\w.-]{0,30}", cell) or cell == "")
