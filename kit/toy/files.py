"""The toy encyclopaedia on disk: passages.tsv, train.jsonl, dev.jsonl, test.jsonl."""

from __future__ import annotations

from pathlib import Path

from kit.data import save_passages, save_questions
from kit.own_files import OwnFiles
from kit.toy.world import ToyWorld

RECORD = ".kit-toy.json"


def save_world(world: ToyWorld, folder: str | Path) -> None:
    """Write passages and questions into `folder`: a new or empty one, or one with toy data.

    Files of these names are replaced if they are as the kit left them: raises `KitError` if not, before it writes.
    """
    own, splits = OwnFiles(folder, RECORD, "toy data"), {f"{name}.jsonl": one for name, one in world.questions.items()}
    own.claim(["passages.tsv", *splits])
    for name, questions in splits.items():
        save_questions(own.folder / name, questions)
    save_passages(own.folder / "passages.tsv", world.passages.values())
    own.written(["passages.tsv", *splits])
