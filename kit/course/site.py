"""The rendered course: one page a notebook, exported explorers beside them, an index; made by `kit course`.

Links to hosted services come from one file, notebooks/hosting.toml, which a publisher fills in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from kit.course.execute import Executed, execute
from kit.course.render import page_of, prose, render
from kit.types import KitError, written_aside

if TYPE_CHECKING:
    from nbformat import NotebookNode

EXPLORERS = "explorers"
HOSTING = "hosting.toml"


@dataclass(frozen=True)
class Hosting:
    """Where the course is published: `repository` ("" as long as it is not) and {service: address with {holes}}."""

    repository: str = ""
    branch: str = "main"
    services: Mapping[str, str] | None = None

    def links(self, name: str) -> dict[str, str]:
        """{service: address} of the notebook file `name`; "" where nothing is published yet."""
        holes = {"repository": self.repository, "branch": self.branch, "notebook": name}
        filled = {service: address.format(**holes) for service, address in (self.services or {}).items()}
        return filled if self.repository else dict.fromkeys(filled, "")


def load_hosting(path: Path) -> Hosting:
    """The file's addresses; no file: no links. A hole that is not known is a `KitError`."""
    if not path.exists():
        return Hosting()
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        hosting = Hosting(given.get("repository", ""), given.get("branch", "main"), given.get("services", {}))
        hosting.links("00.ipynb")
    except (tomllib.TOMLDecodeError, KeyError, IndexError, ValueError, AttributeError) as error:
        wanted = "repository, branch and [services] with the holes {repository}, {branch} and {notebook}"
        raise KitError(str(path), wanted, error) from None
    return hosting


def find_notebooks(folder: Path, only: Sequence[str] = ()) -> list[Path]:
    """The notebooks of a folder in their order, or those of them whose names begin as `only` says."""
    found = sorted(folder.glob("*.ipynb"))
    if not found:
        raise KitError(str(folder), "a folder with notebooks", "none")
    for name in only:
        if not any(path.stem.startswith(name) for path in found):
            raise KitError("--only", f"beginnings of {', '.join(path.stem for path in found)}", repr(name))
    return [path for path in found if not only or path.stem.startswith(tuple(only))]


def make_course(
    out: Path,
    notebooks: Sequence[Path],
    hosting: Hosting = Hosting(),
    *,
    jobs: int = 1,
    timeout: int = 1200,
    say: Callable[[str], None] = print,
) -> Path:
    """The path of the index page: the notebooks are executed, `jobs` at a time, and each becomes a page in `out`."""
    import nbformat

    titles = {path.stem: title_of(nbformat.read(path, as_version=4)) for path in notebooks}
    threads = None if jobs == 1 else 1
    (out / EXPLORERS).mkdir(parents=True, exist_ok=True)

    def make(path: Path) -> Executed:
        done = execute(path, out / EXPLORERS, timeout=timeout, threads=threads)
        _write(out / f"{path.stem}.html", _page(path, done, titles, hosting))
        say(f"{path.stem}: {done.seconds:.0f} s, {len(done.explorers)} explorers exported")
        return done

    with ThreadPoolExecutor(jobs) as pool:
        done = dict(zip([path.stem for path in notebooks], pool.map(make, notebooks), strict=True))
    _write(out / "index.html", index_page(titles, done, hosting))
    return out / "index.html"


def title_of(notebook: NotebookNode) -> str:
    """The first heading, as plain text."""
    for cell in notebook.cells:
        found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return found[1].strip()
    raise KitError("notebook", "a heading (# ...) in its first text", "none")


def goals_of(notebook: NotebookNode) -> str:
    """The paragraph that begins with "You will", as markdown; "" where there is none.

    >>> from nbformat.v4 import new_markdown_cell, new_notebook
    >>> goals_of(new_notebook(cells=[new_markdown_cell("# A\\n\\n**You will** see.\\nAnd try. **You need** B.")]))
    '**You will** see.\\nAnd try.'
    """
    first = next((cell.source for cell in notebook.cells if cell.cell_type == "markdown"), "")
    found = re.search(r"\*\*You will.*?(?=\s*\*\*You need|\s*\*\*Minutes|\n\n|\Z)", first, re.DOTALL)
    return found[0] if found else ""


def _page(path: Path, done: Executed, titles: Mapping[str, str], hosting: Hosting) -> str:
    names = list(titles)
    place = names.index(path.stem)
    around = [("index.html", "All notebooks")]
    around += [(f"{names[place - 1]}.html", f"← {titles[names[place - 1]]}")] if place else []
    around += [(f"{names[place + 1]}.html", f"{titles[names[place + 1]]} →")] if place + 1 < len(names) else []
    bar = "".join(f'<a href="{escape(address)}">{escape(text)}</a>' for address, text in around)
    addresses = {model: f"{EXPLORERS}/{file}" for model, file in done.explorers.items()}
    links = {f"{name}.ipynb": f"{name}.html" for name in names}
    try:
        body = render(done.notebook, addresses, links=links)
    except KitError as error:
        raise KitError(f"{path.name}, {error.where}", error.wanted, error.given) from None
    bars = f'<nav class="nav">{bar}{_hosted(path.name, hosting)}</nav>'
    return page_of(titles[path.stem], f"{bars}\n{body}\n{bars}")


def _hosted(name: str, hosting: Hosting) -> str:
    """Links to hosted services; their names without a link while nothing is published."""
    links = hosting.links(name).items()
    empty = '<span class="soft" title="not published yet: notebooks/hosting.toml">'
    return "".join(
        f'<a href="{escape(address)}">{escape(service)}</a>' if address else f"{empty}{escape(service)}</span>"
        for service, address in links
    )


def index_page(titles: Mapping[str, str], done: Mapping[str, Executed], hosting: Hosting) -> str:
    """The list of the notebooks: what each is for, how long it ran, where its explorers are."""
    rows = []
    for name, title in titles.items():
        one = done[name]
        explorers = "".join(
            f' <a href="{EXPLORERS}/{escape(file)}">explorer {number}</a>'
            for number, file in enumerate(one.explorers.values(), start=1)
        )
        hosted = _hosted(f"{name}.ipynb", hosting)
        told = f'<p class="soft">{one.seconds:.0f} s{explorers}</p><div class="nav">{hosted}</div>'
        rows.append(f'<h2><a href="{escape(name)}.html">{escape(title)}</a></h2>{prose(goals_of(one.notebook))}{told}')
    intro = (
        "<p>Retrieve, read, look at what the reader attends to, and teach a retriever from that: the notebooks of the "
        "course, as they ran when these pages were made. The pages show pictures; to try things, open the explorers, "
        "or run the notebooks: <code>kit lab</code>.</p>"
    )
    heading = "Fusion-in-Decoder question answering: a course"
    return page_of(heading, f"<h1>{heading}</h1>\n{intro}\n" + "\n".join(rows))


def _write(path: Path, text: str) -> None:
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
