"""The files of a quickstart run, read and checked before anything is made from them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.types import KitError

if TYPE_CHECKING:
    import pandas

FIGURES = (
    "seconds", "stages[].name", "stages[].seconds", "corpus.passages", "corpus.questions.train", "corpus.questions.dev",
    "corpus.questions.test", "corpus.entities.real", "corpus.entities.made", "corpus.words", "reader.em.all",
    "reader.em_closed_book", "reader.before", "attention.gold_top1", "attention.bm25_gold_top1", "evidence.all",
    "evidence.attention", "evidence.bm25", "evidence.random", "bm25.recall", "before.recall", "rounds[].number",
    "rounds[].recall", "rounds[].em", "peak_memory_mb",
)  # fmt: skip
STORY = (
    "question", "answers", "said", "found.bm25[].title", "found.bm25[].gold", "found.before[].title",
    "found.before[].gold", "found.after[].title", "found.after[].gold", "passages[].title", "passages[].text",
    "passages[].gold", "passages[].bm25", "passages[].attention", "passages[].before", "passages[].after",
    "passages[].tokens", "passages[].probabilities",
)  # fmt: skip
TRAINING = (
    "reader[].step", "reader[].loss", "rounds[].number", "rounds[].student[].step", "rounds[].student[].loss",
    "rounds[].student[].agreement", "rounds[].student[].entropy",
)  # fmt: skip
SAMPLES = ("[].title", "[].text", "[].questions[].text", "[].questions[].answer")
COLUMNS = ("question_id", "passage_id", "gold", "teacher", "before", "after")


@dataclass(frozen=True)
class Run:
    """What a run left: the parsed files, and the score distributions as a frame, one row a passage of a question."""

    folder: Path
    figures: dict[str, Any]
    story: dict[str, Any]
    training: dict[str, Any]
    samples: list[dict[str, Any]]
    distributions: pandas.DataFrame


def read_run(folder: str | Path) -> Run:
    """The files of a finished run; a `KitError` names the file, and what is missing in it."""
    folder = Path(folder)
    return Run(
        folder,
        _read_json(folder / "figures.json", FIGURES),
        _read_json(folder / "story.json", STORY),
        _read_json(folder / "training.json", TRAINING),
        _read_json(folder / "passages.json", SAMPLES),
        _read_distributions(folder / "distributions.parquet"),
    )


def require(where: str, content: Any, paths: Iterable[str]) -> None:
    """Check that every path is there: keys with dots between them, and `[]` for each item of a list that is not empty.

    >>> require("f.json", {"a": [{"b": 1}]}, ["a[].b"])
    >>> require("f.json", {"a": [{"b": 1}, {}]}, ["a[].b"])
    Traceback (most recent call last):
    kit.types.KitError: f.json: wanted 'b' in a[1] (path a[].b), given nothing
    """
    for path in paths:
        _follow(where, content, path.replace("[]", ".[]").lstrip(".").split("."), "", path)


def _follow(where: str, content: Any, steps: list[str], reached: str, path: str) -> None:
    if not steps:
        return
    step, *rest = steps
    place = reached.lstrip(".") or "the file"
    if step == "[]":
        if not isinstance(content, list) or not content:
            given = "an empty list" if content == [] else type(content).__name__
            raise KitError(where, f"a list in {place} (path {path})", given)
        for number, item in enumerate(content):
            _follow(where, item, rest, f"{reached}[{number}]", path)
        return
    if not isinstance(content, dict) or step not in content:
        raise KitError(where, f"{step!r} in {place} (path {path})", "nothing")
    _follow(where, content[step], rest, f"{reached}.{step}", path)


def _read_json(path: Path, paths: Iterable[str]) -> Any:
    try:
        content = json.loads(_existing(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise KitError(str(path), "JSON", f"a file that does not read ({error})") from None
    require(str(path), content, paths)
    return content


def _read_distributions(path: Path) -> pandas.DataFrame:
    import pandas
    import pyarrow

    try:
        frame = pandas.read_parquet(_existing(path))
    except (OSError, pyarrow.ArrowException) as error:
        raise KitError(str(path), "a Parquet file", f"a file that does not read ({error})") from None
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise KitError(str(path), f"the columns {', '.join(COLUMNS)}", f"no {', '.join(missing)}")
    if frame.empty:
        raise KitError(str(path), "at least one row", "none")
    for name in ("teacher", "before", "after"):
        finite = np.isfinite(frame[name].to_numpy(dtype=np.float64))
        if not finite.all():
            raise KitError(str(path), f"a score in every row of {name!r}", f"none in {int((~finite).sum())} rows")
    return frame


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise KitError(str(path), "a file that `kit quickstart` leaves", "no such file")
    return path
