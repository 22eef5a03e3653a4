"""Where the course is published: one file, notebooks/hosting.toml, from which links and the set-up cells are written.

`python -m kit.course.hosting notebooks` writes the two first cells of every notebook again after a change of that file.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kit.types import KitError

HOSTING = "hosting.toml"
SETUP = """# SET-UP: does nothing where the kit is installed (kit.course.hosting writes this cell).
from importlib.util import find_spec

if find_spec("kit") is None:
    {install}
if find_spec("checks") is None:
    from kit.course import copy_notebooks

    copy_notebooks(".", only="checks/*")"""
INSTALL = '%pip install --quiet "kit[cpu,widgets] @ git+https://github.com/{repository}@{branch}"'
UNPUBLISHED = 'raise ModuleNotFoundError("install the kit first, as its README says")'


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

    def cells(self, name: str) -> dict[str, str]:
        """{cell id: source} of the cells that stand after the title: links to run the notebook elsewhere, set-up.

        >>> Hosting(services={"Colab": "https://x/{notebook}"}).cells("a.ipynb")["hosted-0"]
        'Run it elsewhere: Colab (not published yet: `hosting.toml`).'
        """
        links = " · ".join(f"[{service}]({address})" for service, address in self.links(name).items())
        links = links or f"{' · '.join(self.services)} (not published yet: `{HOSTING}`)"
        install = INSTALL.format(repository=self.repository, branch=self.branch) if self.repository else UNPUBLISHED
        return {"hosted-0": f"Run it elsewhere: {links}.", "setup-0": SETUP.format(install=install)}


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


def write_cells(folder: Path) -> None:
    """Writes the links and the set-up cell into every notebook of the folder, from its hosting file."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell

    hosting = load_hosting(folder / HOSTING)
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        sources = hosting.cells(path.name)
        others = [cell for cell in notebook.cells if cell.id not in sources]
        links = new_markdown_cell(sources["hosted-0"], id="hosted-0", metadata={"tags": ["hosted"]})
        setup = new_code_cell(sources["setup-0"], id="setup-0", metadata={"tags": ["setup"]})
        setup.metadata["jupyter"] = {"source_hidden": True}
        notebook.cells = [others[0], links, setup, *others[1:]]
        nbformat.write(notebook, path)


if __name__ == "__main__":
    write_cells(Path(sys.argv[1]))
