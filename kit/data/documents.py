"""A user's own texts and questions in the kit's format: passages of so many words, questions as JSON Lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from kit.data.corpus import FORMATS, cut_passages, save_passages
from kit.data.examples import load_questions, save_questions
from kit.data.records import file_format, read_records, reading
from kit.files import refuse_overwriting
from kit.types import KitError, Passage, Question

TEXTS = (".txt", ".md", ".jsonl", ".txt.gz", ".jsonl.gz")


def prepare(
    texts: Iterable[str | Path], out: str | Path, questions: Iterable[str | Path] = (), words: int = 100
) -> tuple[int, dict[Path, list[Question]]]:
    """The number of passages of `words` words that were cut from the texts into `out`, and the files of questions.

    Each file of questions becomes a `.jsonl` beside `out`. Raises `KitError` for texts without words, and for an output
    that would be written over an input; nothing is written then.
    """
    files, sources, out = list(map(Path, texts)), list(map(Path, questions)), Path(out)
    file_format(out, FORMATS)
    converted = {out.parent / f"{path.name.split('.')[0]}.jsonl": load_questions(path) for path in sources}
    if len(converted) < len(sources):
        raise KitError("prepare, questions", f"files of names that stay different in {out.parent}", "equal ones")
    refuse_overwriting((out, *converted), (*files, *sources))
    count = 0

    def counted() -> Iterator[Passage]:
        nonlocal count
        for passage in cut_passages(documents(files), words):
            count += 1
            yield passage
        if not count:
            raise KitError(", ".join(map(str, files)), "texts with words", "none")

    save_passages(out, counted())
    for target, items in converted.items():
        save_questions(target, items)
    return count, converted


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
