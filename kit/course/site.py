"""The rendered course: one page a notebook, exported explorers beside them, an index; written by `kit course`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from kit.course.hosting import Hosting
from kit.files import written_aside
from kit.own_files import OwnFiles
from kit.pages.execute import Executed, execute_notebook
from kit.pages.figures import SHARED, write_plotly
from kit.pages.notebook import Page, prose, render_notebook
from kit.pages.page import page_html
from kit.types import KitError

if TYPE_CHECKING:
    from nbformat import NotebookNode

UNPUBLISHED = Hosting()
EXPLORERS, RECORD = "explorers", ".kit-course-pages.json"
PICTURE = Path(__file__).parent / "loop.svg"
INTRODUCTION = """
Retrieve, read, look at what the reader attends to, and teach a retriever from that: the notebooks of the course, as
they ran when these pages were made. Open an explorer to try things, or run the notebooks yourself: `kit lab`.
"""


def find_notebooks(folder: Path, only: Sequence[str] = ()) -> list[Path]:
    """The notebooks of a folder in their order, or only those whose names begin with one of `only`.

    Raises `KitError` if there are none, or none for one of the beginnings.
    """
    notebooks = sorted(folder.glob("*.ipynb"))
    if not notebooks:
        raise KitError(str(folder), "a folder with notebooks", "none")
    for name in only:
        if not any(path.stem.startswith(name) for path in notebooks):
            raise KitError("--only", f"beginnings of {', '.join(path.stem for path in notebooks)}", repr(name))
    return [path for path in notebooks if not only or path.stem.startswith(tuple(only))]


def make_course(
    out: Path,
    notebooks: Sequence[Path],
    hosting: Hosting = UNPUBLISHED,
    *,
    jobs: int = 1,
    timeout: int = 1200,
    say: Callable[[str], None] = print,
) -> Path:
    """The path of the index page: the notebooks are executed, `jobs` at a time, and each becomes a page in `out`.

    Raises `KitError` if the folder holds other files, or a page that is not as the kit wrote it; nothing runs then.
    """
    import nbformat

    titles = {path.stem: title_of(nbformat.read(path, as_version=4)) for path in notebooks}
    environment = {} if jobs == 1 else {"OMP_NUM_THREADS": "1"}
    own, pages = OwnFiles(out, RECORD, "course"), ["index.html", *(f"{name}.html" for name in titles)]
    own.claim(pages)
    (out / EXPLORERS).mkdir(parents=True, exist_ok=True)
    write_plotly(out)

    def make(path: Path) -> Executed:
        done = execute_notebook(path, out / EXPLORERS, timeout=timeout, environment=environment)
        _write(out / f"{path.stem}.html", _page(path, done, titles, hosting))
        say(f"{path.stem}: {done.seconds:.0f} s, {len(done.explorers)} explorers exported")
        return done

    with ThreadPoolExecutor(jobs) as pool:
        done = dict(zip(titles, pool.map(make, notebooks), strict=True))
    _write(out / "index.html", index_page(titles, done, hosting))
    own.written(pages)
    return out / "index.html"


def title_of(notebook: NotebookNode) -> str:
    """The first heading, as plain text. Raises `KitError` if there is none."""
    for cell in notebook.cells:
        heading = re.search(r"^# +(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if heading:
            return heading[1].strip()
    raise KitError("notebook", "a heading (# ...) in its first text", "none")


def goals_of(notebook: NotebookNode) -> str:
    """The paragraph that begins with "You will", as Markdown; "" if there is none.

    >>> from nbformat.v4 import new_markdown_cell, new_notebook
    >>> goals_of(new_notebook(cells=[new_markdown_cell("# A\\n\\n**You will** see.\\nAnd try. **You need** B.")]))
    '**You will** see.\\nAnd try.'
    """
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    goals = re.search(r"\*\*You will.*?(?=\s*\*\*You need|\s*\*\*Minutes|\n\n|\Z)", text, re.DOTALL)
    return goals[0] if goals else ""


def _page(path: Path, done: Executed, titles: Mapping[str, str], hosting: Hosting) -> str:
    names = list(titles)
    place = names.index(path.stem)
    around = [("index.html", "All notebooks")]
    around += [(f"{names[place - 1]}.html", f"← {titles[names[place - 1]]}")] if place else []
    around += [(f"{names[place + 1]}.html", f"{titles[names[place + 1]]} →")] if place + 1 < len(names) else []
    bar = "".join(f'<a href="{escape(address)}">{escape(text)}</a>' for address, text in around)
    page = Page(
        titles[path.stem],
        navigation=f'<nav class="nav">{bar}{_links(hosting.links(path.name))}</nav>',
        links={f"{name}.ipynb": f"{name}.html" for name in names},
        explorers={
            model: {"name": explorer["name"], "address": f"{EXPLORERS}/{explorer['file']}"}
            for model, explorer in done.explorers.items()
        },
        plotly=SHARED,
    )
    notebook = deepcopy(done.notebook)
    notebook.cells = [cell for cell in notebook.cells if not {"hosted", "setup"} & set(cell.metadata.get("tags", ()))]
    try:
        return render_notebook(notebook, page)
    except KitError as error:
        raise KitError(f"{path.name}, {error.where}", error.wanted, error.given) from None


def index_page(titles: Mapping[str, str], done: Mapping[str, Executed], hosting: Hosting) -> str:
    """The list of the notebooks: what each is for, how long it ran, and its explorers by name."""
    rows = []
    for name, title in titles.items():
        explorers = {f"{EXPLORERS}/{one['file']}": one["name"] for one in done[name].explorers.values()}
        links = _links({text: address for address, text in explorers.items()} | hosting.links(f"{name}.ipynb"))
        rows.append(
            f'<h2><a href="{escape(name)}.html">{escape(title)}</a></h2>{prose(goals_of(done[name].notebook))}'
            f'<div class="nav"><span class="soft">{done[name].seconds:.0f} s</span>{links}</div>'
        )
    heading = "Fusion-in-Decoder question answering: a course"
    picture = f"<figure>{PICTURE.read_text(encoding='utf-8')}</figure>"
    return page_html(heading, f"<h1>{heading}</h1>\n{prose(INTRODUCTION)}{picture}\n" + "\n".join(rows))


def _links(addresses: Mapping[str, str]) -> str:
    return "".join(f'<a href="{escape(address)}">{escape(text)}</a>' for text, address in addresses.items())


def _write(path: Path, text: str) -> None:
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
