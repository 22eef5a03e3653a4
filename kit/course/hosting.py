"""Where the course is published: one file, notebooks/hosting.toml, from which badges and links are made."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kit.types import KitError

HOSTING = "hosting.toml"


@dataclass(frozen=True)
class Hosting:
    """Where the course is published: `repository` ("" while it is not) and {service: address with {holes}}."""

    repository: str = ""
    branch: str = "main"
    services: Mapping[str, str] = field(default_factory=dict)

    def links(self, name: str) -> dict[str, str]:
        """{service: address} of the notebook file `name`; empty while nothing is published."""
        holes = {"repository": self.repository, "branch": self.branch, "notebook": name}
        addresses = {service: address.format(**holes) for service, address in self.services.items()}
        return addresses if self.repository else {}


def load_hosting(path: Path) -> Hosting:
    """The addresses of the file; without a file, none. Raises `KitError` if an address has an unknown hole."""
    if not path.exists():
        return Hosting()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        hosting = Hosting(content.get("repository", ""), content.get("branch", "main"), content.get("services", {}))
        hosting.links("00.ipynb")
    except (tomllib.TOMLDecodeError, KeyError, IndexError, ValueError, AttributeError) as error:
        wanted = "repository, branch and [services] with the holes {repository}, {branch} and {notebook}"
        raise KitError(str(path), wanted, error) from None
    return hosting
