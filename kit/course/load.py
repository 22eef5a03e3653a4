"""What every notebook starts from: passages, questions, gold passages, a reader, an encoder and BM25, at two scales.

"toy" needs no file but the kit's own. "full" is Natural Questions over Wikipedia, from files on disk: nothing of that
size is downloaded unasked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kit.checkpoints import RELEASES
from kit.data import Corpus, iter_examples, load_passages, load_questions
from kit.metrics import has_answer
from kit.types import KitError, Question

if TYPE_CHECKING:
    from kit.encoder import DualEncoder
    from kit.reader import FiDReader
    from kit.retrieve import BM25
    from kit.toy import ToyWorld

SCALES = ("toy", "full")
FULL_READER, FULL_ENCODER = "nq_reader_base", "nq_retriever"


@dataclass(frozen=True)
class Course:
    """A corpus with its questions and models; the slow parts (`reader`, `bm25`, ...) are made on first use.

    `gold`: {question id: the passages that hold its answer}. `world` is the toy's maker, None at full scale.
    """

    scale: str
    corpus: Corpus
    train: tuple[Question, ...]
    dev: tuple[Question, ...]
    test: tuple[Question, ...]
    device: str
    reader_source: str | Path
    encoder_source: str | Path
    world: ToyWorld | None = None
    make_gold: Callable[[], dict[str, set[str]]] = field(default=dict, repr=False)
    bm25_folder: Path | None = None

    def __repr__(self) -> str:
        counts = f"{len(self.train):,} train, {len(self.dev):,} dev and {len(self.test):,} test questions"
        return f"Course({self.scale!r}: {len(self.corpus):,} passages, {counts}, device {self.device!r})"

    @cached_property
    def gold(self) -> dict[str, set[str]]:
        """Question id -> ids of passages that hold its answer: all of them (toy), or those of its file (full)."""
        return self.make_gold()

    @cached_property
    def reader(self) -> FiDReader:
        """The reader: the toy's pre-trained T5, or the released one."""
        from kit.reader import FiDReader

        return FiDReader.from_pretrained(self.reader_source, device=self.device)

    @cached_property
    def encoder(self) -> DualEncoder:
        """The student: the toy's untrained BERT, or the released retriever. Training changes it: see `new_encoder`."""
        return self.new_encoder()

    def new_encoder(self) -> DualEncoder:
        """The same encoder, loaded anew."""
        from kit.encoder import DualEncoder

        return DualEncoder.from_pretrained(self.encoder_source, device=self.device)

    def new_reader(self) -> FiDReader:
        """The same reader, loaded anew."""
        from kit.reader import FiDReader

        return FiDReader.from_pretrained(self.reader_source, device=self.device)

    @cached_property
    def bm25(self) -> BM25:
        """BM25 of the corpus, loaded from `bm25_folder` if it exists, else built in memory."""
        from kit.retrieve import BM25

        if self.bm25_folder is not None and self.bm25_folder.exists():
            return BM25.load(self.bm25_folder, mmap=True)
        return BM25(self.corpus)


def load_course(
    scale: str = "toy",
    *,
    seed: int = 0,
    generated: int = 1000,
    folder: str | Path = "data/full",
    passages: str | Path | None = None,
    train: str | Path | None = None,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    reader: str | Path | None = None,
    encoder: str | Path | None = None,
    device: str | None = None,
) -> Course:
    """The course's data: `scale` "toy" (from `seed`, with `generated` invented entities; on the CPU) or "full".

    At full scale these are looked for in `folder`, unless a path is passed: `psgs_w100.tsv`, `train.json`, `dev.json`,
    `test.json` (or `.jsonl`) in FiD's format, `bm25` (a folder that BM25 saved; optional), and the checkpoints
    `nq_reader_base` and `nq_retriever`, there or in the cache of `kit data download`. Raises `KitError`
    with the missing file and the command that downloads it.

    >>> toy = load_course()
    >>> toy.device, toy.gold[toy.test[0].id] <= set(toy.corpus)
    ('cpu', True)
    """
    if scale not in SCALES:
        raise KitError("scale", " or ".join(repr(name) for name in SCALES), repr(scale))
    if scale == "toy":
        return _toy(seed, generated, reader, encoder, device or "cpu")
    folder = Path(folder)
    corpus_path = _existing(passages, folder, ("psgs_w100.tsv",), "passages", "wikipedia", ", then unpack the .gz")
    splits = {"train": train, "dev": dev, "test": test}
    paths = {
        name: _existing(path, folder, (f"{name}.json", f"{name}.jsonl"), "questions", "nq")
        for name, path in splits.items()
    }
    sources = [checkpoint(name, folder) for name in (reader or FULL_READER, encoder or FULL_ENCODER)]
    questions = {name: tuple(load_questions(path)) for name, path in paths.items()}
    return Course(
        "full",
        load_passages(corpus_path),
        questions["train"],
        questions["dev"],
        questions["test"],
        device=device or "auto",
        reader_source=sources[0],
        encoder_source=sources[1],
        make_gold=lambda: _gold_of_files((paths["dev"], paths["test"])),
        bm25_folder=folder / "bm25",
    )


def _toy(seed: int, generated: int, reader: str | Path | None, encoder: str | Path | None, device: str) -> Course:
    from kit.toy import DATA, build_world

    world = build_world(seed, generated=generated)
    return Course(
        "toy",
        Corpus(world.passages.values()),
        world.questions["train"],
        world.questions["dev"],
        world.questions["test"],
        device=device,
        reader_source=reader or DATA / "t5",
        encoder_source=encoder or DATA / "bert",
        world=world,
        make_gold=lambda: {name: set(ids) for name, ids in world.gold.items()},
    )


def _existing(
    choice: str | Path | None, folder: Path, names: tuple[str, ...], what: str, data: str, then: str = ""
) -> Path:
    """The first of `names` in `folder` that exists, or the caller's choice; `data` is what can be downloaded."""
    paths = [Path(choice)] if choice is not None else [folder / name for name in names]
    for path in paths:
        if path.exists():
            return path
    advice = "" if choice is not None else f" (run `kit data download {data} --out {folder.resolve()}`{then})"
    raise KitError(str(paths[0]), f"a file of {what}{advice}", "no such file")


def checkpoint(name: str | Path, folder: str | Path = "data/full") -> str | Path:
    """Where a checkpoint is: a path that exists, in `folder`, in the cache of `kit data download`; else a hub's name.

    Raises `KitError` for a released archive that is in none of them: it would be a download of gigabytes.
    """
    cache = Path(os.environ.get("KIT_CACHE") or Path.home() / ".cache" / "kit")
    for path in (Path(name), Path(folder) / name, cache / name):
        if path.is_dir():
            return path
    release = RELEASES.get(str(name))
    if release is not None and release.is_archive:
        wanted = f"the checkpoint {name} here or in {cache} (run `kit data download {name}`)"
        raise KitError(str(Path(folder) / name), wanted, "no such folder")
    return name


def _gold_of_files(paths: tuple[Path, ...]) -> dict[str, set[str]]:
    """Of each question's own passages in the files, those that hold an answer. Raises `KitError` if a file has none."""
    gold: dict[str, set[str]] = {}
    for path in paths:
        read = 0
        for question, passages, _ in iter_examples(path):
            gold[question.id] = {passage.id for passage in passages if has_answer(passage.text, question.answers)}
            read += len(passages)
        if not read:
            files = path, path.with_name("psgs_w100.tsv"), path.with_suffix(".json")
            command = "kit retriever search {} --bm25 {} --out {}".format(*files)
            raise KitError(str(path), f"questions with passages (run `{command}`)", "questions alone")
    return gold
