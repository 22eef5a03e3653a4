"""Copies of the notebooks for a student to work in: a newer kit renews what was not changed, and nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kit.files import read_json, write_json, written_aside
from kit.shipped import NOTEBOOKS

RECORD = ".kit-course.json"  # {file: digest of what the kit last wrote there}
LEFT_OUT = ("__pycache__", "templates", ".ipynb_checkpoints")


def copy_notebooks(folder: str | Path, source: Path = NOTEBOOKS, *, only: str = "**/*") -> dict[str, str]:
    """{file: "new", "renewed" or "kept"} of the files that differ; equal ones are left out.

    A file of `folder` is renewed if it is as the kit left it, and kept if anybody changed it. `only` is a pattern of
    paths in `source`, by default the shipped notebooks with their checkers.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (copy_notebooks(folder, only="hosting.toml"), copy_notebooks(folder, only="hosting.toml"))
    ({'hosting.toml': 'new'}, {})
    """
    folder = Path(folder)
    if folder.resolve() == source.resolve():
        return {}
    record_path = folder / RECORD
    record = read_json(record_path) if record_path.exists() else {}
    outcome = {}
    for path in sorted(source.glob(only)):
        name = path.relative_to(source).as_posix()
        if not path.is_file() or name == RECORD or any(part in LEFT_OUT for part in path.parts):
            continue
        content, target = path.read_bytes(), folder / name
        before = target.read_bytes() if target.exists() else None
        if before is not None and before != content and _digest(before) != record.get(name):
            outcome[name] = "kept"
            continue
        if before != content:
            outcome[name] = "new" if before is None else "renewed"
            target.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(target) as aside:
                aside.write_bytes(content)
        record[name] = _digest(content)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(record_path, record)
    return outcome


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
