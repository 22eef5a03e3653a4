"""A notebook that is a template: executed in a folder whose files it reads, and left there with its page."""

from __future__ import annotations

from pathlib import Path

import nbformat

from kit.files import written_aside
from kit.pages.execute import execute_notebook
from kit.pages.notebook import Page, render_notebook


def fill_template(template: Path, folder: Path) -> Path:
    """The path of the page in `folder`, beside the notebook with its outputs: both have the template's name.

    Raises `KitError` if a cell fails; nothing is left then.
    """
    notebook = nbformat.read(template, as_version=4)
    notebook = execute_notebook(notebook, folder=folder, name=template.name).notebook
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    page = folder / f"{template.stem}.html"
    contents = {folder / template.name: nbformat.writes(notebook), page: render_notebook(notebook, Page(title))}
    for path, content in contents.items():
        with written_aside(path) as aside:
            aside.write_text(content, encoding="utf-8")
    return page
