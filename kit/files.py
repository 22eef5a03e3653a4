"""Files and folders that appear whole or not at all, and JSON in and out.

What is being written stands beside its place under a name that holds the process that writes it, so that what a dead
process left is recognised and removed by the next one. Contents are on the disk before they get their final name: a
power cut leaves no empty file under it. Knows nothing of what the files hold.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from platform import node
from typing import Any

from kit.types import KitError

_HOST = f"{zlib.crc32(node().encode()):08x}"
_TEMPORARY = re.compile(r"\..+\.kit~([0-9a-f]{8})~(\d+)~[0-9a-f]{8}(\..*)?")
_open: set[str] = set()  # the temporary names of this process that are in use
_DAY = 24 * 3600


@contextmanager
def written_aside(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does not.

    The folder is made if needed, and goes again if the block fails and nothing else came into it. A reader of `path`
    sees the old file or the whole new one, never half of it.
    """
    path = _behind_links(path)
    with folder_made(path.parent), _temporary(path) as aside:
        aside.touch(exist_ok=False)
        mode = aside.stat().st_mode & 0o666
        yield aside
        os.chmod(aside, mode)  # the block may have put another file there, for its owner alone
        _to_disk(aside)
        os.replace(aside, path)
        _to_disk(path.parent)


@contextmanager
def folder_made(folder: str | Path) -> Iterator[None]:
    """The folder, made with those above it if needed; those that were made go again if an error leaves them empty."""
    folder = Path(folder)
    new = [one for one in (folder, *folder.parents) if not one.exists()]  # the innermost first
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for one in new:
            with suppress(OSError):  # not empty, or gone
                one.rmdir()
        raise


@contextmanager
def folder_aside(folder: str | Path, manifest: str | None = None) -> Iterator[Path]:
    """A new folder beside `folder` that takes its place when the block ends well, and vanishes when it does not.

    The block writes `manifest`, a JSON object, where one is named; the paths of all files are added to it under
    "files". An earlier folder is replaced only if its own manifest lists every file in it: raises `KitError` if not,
    before the block runs. The two folders change places in one step where the system has one (Linux, macOS); elsewhere
    a process killed between two steps leaves the old one as `.NAME.kit~old`, which `restored` puts back.
    """
    folder = restored(_behind_links(folder))
    _refuse_strangers(folder, manifest)
    with folder_made(folder.parent), _temporary(folder) as new:
        new.mkdir()
        mode = new.stat().st_mode & 0o666
        yield new
        files = [path for path in new.rglob("*") if path.is_file()]
        if manifest is not None:
            names = sorted(path.relative_to(new).as_posix() for path in files)
            content = read_json(new / manifest, dict) | {"files": names}
            (new / manifest).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        for path in files:
            os.chmod(path, mode)
            _to_disk(path)
        _to_disk(new)
        replace_folder(new, folder)


def replace_folder(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`, in one step where the system can; the old one goes, or stands at `new`."""
    old = _backup(folder)
    if folder.exists() and not _exchanged(new, folder):
        folder.rename(old)
    if new.exists() and not folder.exists():
        new.rename(folder)
    _to_disk(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def restored(folder: str | Path) -> Path:
    """The folder, put back from its backup if a process was killed while `folder_aside` replaced it."""
    folder = Path(folder)
    if _backup(folder).exists() and not folder.exists():
        with suppress(OSError):  # another process was quicker, or a folder that cannot be written to
            _backup(folder).rename(folder)
    return folder


def contents(folder: str | Path) -> list[Path]:
    """What is in a folder, in the order of the names, without the temporary files of running and dead processes."""
    return sorted(path for path in Path(folder).iterdir() if not _TEMPORARY.fullmatch(path.name))


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """The folder for this process alone: raises `KitError` if another one holds it. A dead process holds nothing."""
    folder = Path(folder)
    with folder_made(folder), open(folder / ".lock", "ab") as file:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise KitError(str(folder), "a folder that no other process works in", "one in use now") from None
        yield


def refuse_overwriting(outputs: Iterable[str | Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Raises `KitError` if a file to be written is one that is read, is in a folder that is, or is written twice."""
    read = [Path(path).resolve() for path in inputs if path is not None and Path(path).exists()]
    written: set[Path] = set()
    for path in (Path(path) for path in outputs if path is not None):
        place = path.resolve()
        if path.exists() and any(path.samefile(one) or one in place.parents for one in read):
            raise KitError(str(path), "another file than those that are read", "one of them")
        if place in written:
            raise KitError(str(path), "a file for each output", "one file twice")
        written.add(place)


def refuse_strangers(folder: str | Path, marks: Iterable[str], what: str) -> Path:
    """The folder. Raises `KitError` unless it is new, empty, or holds an earlier `what` (one of the files `marks`)."""
    folder = restored(folder)
    if folder.exists() and not folder.is_dir():
        raise KitError(str(folder), f"a folder for {what}", "a file")
    if folder.is_dir() and contents(folder) and not any((folder / mark).exists() for mark in marks):
        raise KitError(str(folder), f"a new folder, or one with an earlier {what}", "a folder with other files")
    return folder


def without_nan(value: Any) -> Any:
    """The value with None in place of numbers that JSON does not have.

    >>> without_nan({"em": [0.5, float("nan")]})
    {'em': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def file_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: str | Path, kind: type[Any] = object) -> Any:
    """The value in a JSON file; raises `KitError` if it is missing, does not read or is not of `kind` (dict, list)."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise KitError(str(path), "a JSON file", "no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise KitError(str(path), "JSON", f"a file that does not read ({error})") from None
    if not isinstance(value, kind):
        names: dict[type[Any], str] = {dict: "a JSON object", list: "a JSON list"}
        raise KitError(str(path), names.get(kind, kind.__name__), type(value).__name__)
    return value


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write a value as JSON, aside and renamed."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A free name beside `path` with its ending; whatever stands under it goes in the end."""
    _remove_leftovers(path.parent)
    ending = "".join(path.suffixes[-2:])[-32:]
    name = f".{path.name[:40]}.kit~{_HOST}~{os.getpid()}~{secrets.token_hex(4)}{ending if ending[:1] == '.' else ''}"
    _open.add(name)
    try:
        yield path.with_name(name)
    finally:
        _remove(path.with_name(name))
        _open.discard(name)


def _remove_leftovers(folder: Path) -> None:
    for name in os.listdir(folder):
        match = _TEMPORARY.fullmatch(name)
        if match and _is_dead(folder / name, match[1], int(match[2])):
            _remove(folder / name)


def _is_dead(path: Path, host: str, process: int) -> bool:
    """Whether the process that wrote `path` is gone; of another machine's process: whether a day has passed."""
    import psutil

    try:
        written = path.stat().st_mtime
        if host != _HOST:
            return time.time() - written > _DAY
        if process == os.getpid():
            return path.name not in _open
        return psutil.Process(process).create_time() > written + 1  # the number was given to a later process
    except psutil.NoSuchProcess:
        return True
    except (OSError, psutil.Error):
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _behind_links(path: str | Path) -> Path:
    return Path(path).resolve() if Path(path).is_symlink() else Path(path)


def _backup(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.kit~old")


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the two folders changed places in one step, which not every system and file system can do."""
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            return ctypes.CDLL(None).renamex_np(first, second, 2) == 0
        return sys.platform == "linux" and ctypes.CDLL(None).renameat2(-100, first, -100, second, 2) == 0
    except (AttributeError, OSError):
        return False


def _refuse_strangers(folder: Path, manifest: str | None) -> None:
    if folder.exists() and not folder.is_dir():
        raise KitError(str(folder), "a folder", "a file")
    there = [path for path in folder.rglob("*") if path.is_file() and not _TEMPORARY.fullmatch(path.name)]
    listed = read_json(folder / manifest, dict).get("files", []) if manifest and (folder / manifest).exists() else None
    names = set() if listed is None else {manifest, *listed}
    strange = sorted({path.relative_to(folder).as_posix() for path in there} - names)
    if strange:
        wanted = (
            "a new folder" if manifest is None else f"a new folder, or one with an earlier {manifest} and its files"
        )
        raise KitError(str(folder), wanted, f"one with {strange[0]}")


def _to_disk(path: Path) -> None:
    """Wait until the file, or the names in the folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        with suppress(OSError):  # a file system that knows no fsync
            os.fsync(handle)
    finally:
        os.close(handle)
