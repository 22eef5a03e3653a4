"""The toy encyclopaedia on disk: passages.tsv, train.jsonl, dev.jsonl, test.jsonl."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kit.data import save_passages, save_questions
from kit.files import read_json, refuse_strangers, write_json
from kit.toy.world import ToyWorld
from kit.types import KitError

RECORD = ".kit-toy.json"  # {file: digest of what the kit last wrote there, None while it writes}


def save_world(world: ToyWorld, folder: str | Path) -> None:
    """Write passages and questions into `folder`: a new or empty one, or one with toy data.

    Files of these names are replaced if they are as the kit left them: raises `KitError` if not, before it writes.
    """
    folder = refuse_strangers(folder, (RECORD,), "toy data")
    record = read_json(folder / RECORD, dict) if (folder / RECORD).exists() else {}
    files = [folder / "passages.tsv", *(folder / f"{split}.jsonl" for split in world.questions)]
    for path in files:
        if path.exists() and record.get(path.name, "") not in (None, _digest(path)):
            raise KitError(
                str(path), "a name that is free for toy data, or toy data as the kit wrote it", "another file"
            )
    write_json(folder / RECORD, dict.fromkeys(path.name for path in files))
    for path, questions in zip(files[1:], world.questions.values(), strict=True):
        save_questions(path, questions)
    save_passages(files[0], world.passages.values())
    write_json(folder / RECORD, {path.name: _digest(path) for path in files})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
