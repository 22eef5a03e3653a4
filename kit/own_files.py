"""The files that the kit wrote into a folder, and how it left them, so that it replaces and removes no others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kit.files import file_digest, read_json, refuse_strangers, write_json
from kit.types import KitError


class OwnFiles:
    """A folder with a record {file: digest} of what the kit wrote there; None stands for a file that it is writing.

    Raises `KitError` for a folder with other files and no record.
    """

    def __init__(self, folder: str | Path, record: str, what: str) -> None:
        self.folder, self.what = refuse_strangers(folder, (record,), what), what
        self.record = self.folder / record
        self.digests: dict[str, str | None] = read_json(self.record, dict) if self.record.exists() else {}

    def claim(self, names: Iterable[str]) -> None:
        """Files that will be written now; raises `KitError` if one of them is there and not as the kit left it."""
        names = list(names)
        for name in names:
            path = self.folder / name
            if path.exists() and self.digests.get(name, "") not in (None, file_digest(path)):
                wanted = f"a name that is free for {self.what}, or the file as the kit wrote it"
                raise KitError(str(path), wanted, "another file")
        self.digests.update(dict.fromkeys(names))
        write_json(self.record, self.digests)

    def written(self, names: Iterable[str]) -> None:
        """The files as they are now are the kit's."""
        self.digests.update({name: file_digest(self.folder / name) for name in names})
        write_json(self.record, self.digests)
