"""Files from a server, and archives: a download goes on where it stopped, an archive is unpacked whole or not at all.

What comes is bounded: a file by the size that the server named or by the free disk, an archive by a multiple of its
size. Knows no names of checkpoints (`kit.checkpoints.downloads`).
"""

from __future__ import annotations

import getpass
import gzip
import hashlib
import http.client
import io
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.files import folder_made, read_json, replace_folder, restored, write_json
from kit.types import KitError

CHUNK = 1 << 20
MARK = ".kit_archive"  # in a folder of `unpack`: which archive it is from
MOST_EXPANSION = 20  # weights hardly shrink; a bomb grows a thousandfold
SMALLEST_BOUND = 10_000_000


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """The folder, created if needed; it goes again if an error leaves it empty."""
    try:
        with folder_made(folder):
            yield
    except OSError as error:
        raise KitError(str(folder), "a folder that can be written to", error) from None


def download_file(
    url: str, path: str | Path, *, sha256: str | None = None, say: Callable[[str], None] = print, timeout: float = 30.0
) -> Path:
    """The path of the file at `url`; what a stopped run left in `path.part` is kept and only the rest is requested.

    A file that is there already is left alone (and checked, against its `sha256`, if there is one). Raises `KitError`
    if there is no network, no such file, too little disk, or another checksum.
    """
    from huggingface_hub.utils import WeakFileLock

    path = Path(path)
    if path.exists():
        _check_sha256(path, sha256, url)
        return path
    part = path.with_name(path.name + ".part")
    with writable(path.parent), WeakFileLock(_lock_of(path)):  # two at once: the second waits, and finds the file
        if not path.exists():
            try:
                _fetch_rest(url, part, say, timeout)
            except urllib.error.HTTPError as error:
                raise KitError(url, "a file on this server", f"HTTP {error.code} {error.reason}") from None
            except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
                reason = getattr(error, "reason", error)
                raise KitError(url, "a download that ends (run again to go on)", f"no network? {reason}") from None
            _check_sha256(part, sha256, url)
            os.replace(part, path)
            _about(part).unlink(missing_ok=True)
    return path


def _lock_of(path: Path) -> Path:
    """A file, elsewhere, that whoever fetches `path` holds."""
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"kit-{getpass.getuser()}-{name}.lock"


def _about(part: Path) -> Path:
    """Where it is written of which file, as the server described it, `part` holds the beginning."""
    return part.with_name(part.name + ".json")


def _fetch_rest(url: str, part: Path, say: Callable[[str], None], timeout: float) -> None:
    about = read_json(_about(part), dict) if part.exists() and _about(part).exists() else {}
    have = part.stat().st_size if about else 0  # a part without a description is not joined to anything
    headers = {"Range": f"bytes={have}-"} if have else {}
    strong = about.get("etag") if not str(about.get("etag")).startswith("W/") else None
    if have and (unchanged := strong or about.get("modified")):
        headers["If-Range"] = unchanged  # else the whole file
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have == about.get("total"):
            return  # the part was whole already
        if error.code == 416:
            part.unlink(missing_ok=True)  # the part is not of this file: begin again next time
        raise
    with answer:
        have = have if answer.status == 206 else 0  # another file now, or a server without ranges
        rest = answer.headers.get("Content-Length")
        total = have + int(rest) if rest is not None else None
        described = {
            "etag": answer.headers.get("ETag"),
            "modified": answer.headers.get("Last-Modified"),
            "total": total,
        }
        if have and described != about:
            part.unlink()
            return _fetch_rest(url, part, say, timeout)
        room = _say_size(url, part, have, total, say)
        write_json(_about(part), described)
        with open(part, "ab" if have else "wb") as file:
            while chunk := answer.read(CHUNK):
                room -= len(chunk)
                if room < 0:
                    raise KitError(str(part.parent), "free disk for a file of unknown size", "a disk that is full")
                file.write(chunk)
    if total is not None and part.stat().st_size != total:
        raise OSError(f"the connection closed at {part.stat().st_size:,} of {total:,} bytes")


def _say_size(url: str, part: Path, have: int, total: int | None, say: Callable[[str], None]) -> int:
    """Say what is fetched; the bytes that may be written."""
    free = shutil.disk_usage(part.parent).free
    if total is None:
        say(f"{url}: size not sent by the server; {free / 1e9:.1f} GB free in {part.parent}")
        return free
    if total - have > free:
        raise KitError(str(part.parent), f"{(total - have) / 1e9:.2f} GB of free disk", f"{free / 1e9:.2f} GB")
    going_on = f" ({have / 1e9:.2f} GB are here already)" if have else ""
    say(f"{url}: {total / 1e9:.2f} GB to {part.parent}{going_on}; {free / 1e9:.1f} GB free")
    return total - have


def _check_sha256(path: Path, expected: str | None, url: str) -> None:
    if expected is None:
        return
    with open(path, "rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        path.unlink()
        _about(path).unlink(missing_ok=True)
        raise KitError(url, f"sha256 {expected}", f"{actual} (the file was removed)")


def unpack(archive: str | Path) -> Path:
    """The folder that holds the checkpoint of a `.tar.gz`, unpacked beside it (`x.tar.gz` to `x/`).

    Unpacked aside and renamed; not unpacked again until the archive is another. An entry that would be written outside
    the folder is an error and nothing is kept; a folder of that name from elsewhere is left alone, and an error.
    """
    archive = Path(archive)
    target = archive.with_name(archive.name.removesuffix(".gz").removesuffix(".tgz").removesuffix(".tar"))
    mark = f"{archive.name} {archive.stat().st_size} {archive.stat().st_mtime_ns}\n"
    if _is_marked(restored(target), mark):
        return checkpoint_folder(target)
    if target.exists() and not (target / MARK).exists():
        raise KitError(
            str(archive), f"its place, {target}, to be free (or give that folder)", "a folder from elsewhere"
        )
    aside = None
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=archive.parent))
        _extract(archive, aside)
        (aside / MARK).write_text(mark, encoding="utf-8")
        os.chmod(aside, 0o755)
        replace_folder(aside, target)
    except OSError as error:
        if not _is_marked(target, mark):  # else another process was quicker
            raise KitError(str(archive), f"room for its files in {target}", error) from None
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
    return checkpoint_folder(target)


def _is_marked(target: Path, mark: str) -> bool:
    return (target / MARK).exists() and (target / MARK).read_text(encoding="utf-8") == mark


def _extract(archive: Path, folder: Path) -> None:
    """Unpack in one pass, to the end of the file: there stands gzip's checksum of it all."""
    try:
        with open(archive, "rb") as file:
            whole = gzip.GzipFile(fileobj=file) if file.peek(2).startswith(b"\x1f\x8b") else file
            stream = _Bounded(whole, SMALLEST_BOUND + MOST_EXPANSION * archive.stat().st_size)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                tar.extractall(folder, filter=_plain)
            while stream.read(CHUNK):
                pass
    except _TooLarge:
        wanted = f"an archive that unpacks to {MOST_EXPANSION} times its size at most"
        raise KitError(str(archive), wanted, "a larger one") from None
    except tarfile.FilterError as error:
        raise KitError(str(archive), "an archive whose files stay inside its folder", error) from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise KitError(str(archive), "a whole tar archive", f"{error} (a download that was cut off?)") from None
    checkpoint_folder(folder, archive)


class _TooLarge(Exception):
    """More bytes than an archive of weights can hold."""


class _Bounded(io.RawIOBase):
    """A stream that may be read up to `left` bytes."""

    def __init__(self, stream: io.BufferedIOBase, left: int) -> None:
        self.stream, self.left = stream, left

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise _TooLarge
        return data


def _plain(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """The entry, if it stays inside the folder and its bytes are in the archive."""
    if member.issparse():
        raise tarfile.FilterError(f"{member.name!r} is a sparse file")
    return tarfile.data_filter(member, folder)


def checkpoint_folder(folder: Path, archive: Path | None = None) -> Path:
    """The folder of the one config.json that lies highest (sentence-transformers have more below)."""
    configs = sorted(folder.rglob("config.json"), key=lambda path: len(path.parts))
    highest = [path for path in configs if len(path.parts) == len(configs[0].parts)]
    if len(highest) != 1:
        names = ", ".join(sorted(str(path.relative_to(folder)) for path in highest)) or "none"
        raise KitError(str(archive or folder), "one checkpoint with a config.json", names)
    return highest[0].parent
