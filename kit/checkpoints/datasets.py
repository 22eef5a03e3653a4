"""The data sets that the papers used, and where they lie: Natural Questions, TriviaQA, the passages of Wikipedia.

Source of the addresses: DPR's download_data.py and FiD's get-data.sh; of the counts: DPR (Karpukhin et al. 2020), table
1, and section 4.1. Nobody published checksums; a file's is printed when it has arrived.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kit.checkpoints.fetching import download_file
from kit.data import load_questions, save_questions
from kit.types import KitError

HOST = "https://dl.fbaipublicfiles.com/dpr"


@dataclass(frozen=True)
class DataFile:
    """A file of a data set: the name it has here, where it comes from, and how many records it should hold."""

    name: str
    address: str
    records: int


@dataclass(frozen=True)
class Dataset:
    """A data set: its files, and a line about it."""

    files: tuple[DataFile, ...]
    note: str


def _questions(name: str, ending: str, **counts: int) -> tuple[DataFile, ...]:
    where = f"{HOST}/data/retriever"
    return tuple(DataFile(f"{split}.{ending}", f"{where}/{name}-{split}.{ending}", n) for split, n in counts.items())


DATASETS: dict[str, Dataset] = {
    "nq": Dataset(
        _questions("nq", "qa.csv", train=79_168, dev=8_757, test=3_610),
        "Natural Questions, open: train, dev and test questions, as DPR and FiD split them",
    ),
    "triviaqa": Dataset(
        _questions("trivia", "qa.csv.gz", train=78_785, dev=8_837, test=11_313),
        "TriviaQA, unfiltered: train, dev and test questions with their aliases",
    ),
    "wikipedia": Dataset(
        (DataFile("psgs_w100.tsv.gz", f"{HOST}/wikipedia_split/psgs_w100.tsv.gz", 21_015_324),),
        "Wikipedia of 20 December 2018 in passages of 100 words",
    ),
}


def download_file_of(file: DataFile, directory: str | Path, *, say: Callable[[str], None] = print) -> Path:
    """The path of a data set's file in `directory`, fetched where it is not there; a stopped download goes on."""
    path = Path(directory) / file.name
    if not path.exists():
        download_file(file.address, path, say=say)
        with open(path, "rb") as opened:
            say(f"{path}: sha256 {hashlib.file_digest(opened, 'sha256').hexdigest()}")
    return path


def fetch_dataset(name: str, out: str | Path, *, say: Callable[[str], None] = print) -> Iterator[Path]:
    """The files of a data set, one after the other as they are fetched: passages as they come, questions as `.jsonl`.

    Raises `KitError` for a file with another number of questions than was published.
    """
    for file in DATASETS[name].files:
        target = Path(out) / f"{file.name.partition('.')[0]}.jsonl"
        if ".qa." not in file.name:
            yield download_file_of(file, out, say=say)
            continue
        if not target.exists():
            table = download_file_of(file, out, say=say)
            questions = load_questions(table)
            if len(questions) != file.records:
                raise KitError(file.address, f"{file.records:,} questions", f"{len(questions):,} (kept in {table})")
            save_questions(target, questions)
            table.unlink()
        yield target
