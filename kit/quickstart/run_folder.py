"""The folder of a run and its manifest: what the run has made there, so that nothing else is replaced or removed.

`run.json` names every file before it is written, and holds its digest afterwards. Knows nothing of what the files say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from kit.files import contents, file_digest, locked, read_json, write_json
from kit.types import KitError

MANIFEST = "run.json"
LOCK = ".lock"  # of kit.files.locked
KIND = "kit quickstart"
ENDINGS = frozenset({".faiss", ".json", ".jsonl", ".model", ".npy", ".parquet", ".safetensors", ".tsv", ".txt"})


class RunFolder:
    """A folder that is empty, or holds what an earlier run of this kind made, or part of it.

    `files` {name: digest}: a folder's name ends in "/", and a digest is None as long as the file is being written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, dict(settings)
        self.files: dict[str, str | None] = {}
        self.finished = False

    @classmethod
    @contextmanager
    def opened(cls, path: str | Path, settings: Mapping[str, Any]) -> Iterator[RunFolder]:
        """The folder, to begin or to go on in, for this process alone: a finished run's files go, and no others.

        Raises `KitError` if the folder holds other files and no manifest, if a file that the run wrote was changed
        since, if the run was stopped and had other settings, or if it runs now; nothing is touched then.
        """
        run = cls(Path(path), json.loads(json.dumps(settings)))
        if run.path.exists() and not run.path.is_dir():
            raise KitError(str(run.path), "a folder", "a file")
        if run.path.exists() and not (run.path / MANIFEST).exists():
            others = [one.name for one in contents(run.path) if one.name != LOCK]
            if others:
                wanted = f"a new or empty folder, or one with the {MANIFEST} of an earlier run"
                raise KitError(str(run.path), wanted, f"a folder with other files ({others[0]})")
        with locked(run.path):
            if (run.path / MANIFEST).exists():
                run._take_up()
            run._write()
            yield run

    @contextmanager
    def writing(self, *names: str) -> Iterator[bool]:
        """Names that are written in the block; whether they still have to be.

        Raises `KitError` if a file of such a name is there that the run has not made.
        """
        for name in names:
            if name not in self.files and (self.path / name).exists():
                raise KitError(str(self.path / name), "a name that is free for the run", "a file of another origin")
        missing = not all(self.files.get(name) and (self.path / name).exists() for name in names)
        if missing:
            self.files.update(dict.fromkeys(names))
            self._write()
        yield missing
        if missing:
            self.files.update({name: file_digest(self.path / name) for name in names})
            self._write()

    def claim(self, *names: str) -> None:
        """Names of files and folders (ending in "/") that stages write and go on with in their own ways."""
        for name in names:
            if name not in self.files and (self.path / name).exists():
                raise KitError(str(self.path / name), "a name that is free for the run", "a file of another origin")
        self.files.update({name: self.files.get(name) for name in names})
        self._write()

    def finish(self) -> None:
        """Digests of all that the run has made: from now on it can be begun anew."""
        for name in [name for name, digest in self.files.items() if digest is None and not name.endswith("/")]:
            if (self.path / name).exists():
                self.files[name] = file_digest(self.path / name)
            else:
                del self.files[name]
        for folder in [name for name in self.files if name.endswith("/")]:
            inside = sorted(one for one in (self.path / folder).rglob("*") if one.is_file())
            own = [one for one in inside if one.suffix in ENDINGS or one.name == LOCK]
            self.files.update({one.relative_to(self.path).as_posix(): file_digest(one) for one in own})
        self.finished = True
        self._write()

    def _take_up(self) -> None:
        manifest = self.path / MANIFEST
        content = read_json(manifest, dict)
        try:
            kind, settings, finished = content["kind"], content["settings"], content["finished"]
            files = {str(name): digest for name, digest in content["files"].items()}
        except (KeyError, AttributeError):
            raise KitError(str(manifest), f"the manifest of a {KIND}", "a file that does not read as one") from None
        if kind != KIND:
            raise KitError(str(manifest), f"the manifest of a {KIND}", f"that of {kind!r}")
        if not finished and settings != self.settings:
            raise KitError(str(manifest), "the settings that this run was begun with, or another folder", "others")
        for name, digest in files.items():
            path = self.path / name
            plain = PurePosixPath(name).parts and not PurePosixPath(name).is_absolute() and ".." not in name.split("/")
            if not plain or not path.resolve().is_relative_to(self.path.resolve()):
                raise KitError(str(manifest), "names of files in its folder", repr(name))
            if digest and path.exists() and file_digest(path) != digest:
                raise KitError(str(path), "the file as the run left it (or move it away)", "one that was changed since")
        if finished:
            self._remove(files)
        else:
            self.files = files

    def _remove(self, files: Mapping[str, str | None]) -> None:
        """Remove a finished run's files, and the folders that this leaves empty."""
        folders = [self.path / name for name in files if name.endswith("/")]
        for one in (one for folder in folders for one in sorted(folder.rglob("*"))):
            if not one.is_dir() and one.relative_to(self.path).as_posix() not in files:
                raise KitError(str(one), "the run's own files alone in its folders", "a file of another origin")
        for name in files:
            if not name.endswith("/"):
                (self.path / name).unlink(missing_ok=True)
        for folder in folders:
            for one in sorted((one for one in folder.rglob("*") if one.is_dir()), reverse=True):
                one.rmdir()
            if folder.is_dir():
                folder.rmdir()

    def _write(self) -> None:
        content = {"kind": KIND, "finished": self.finished, "settings": self.settings, "files": self.files}
        write_json(self.path / MANIFEST, content)
