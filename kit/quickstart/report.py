"""The report of a run: a notebook that reads the run's files, executed and rendered as a page."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from kit.shipped import REPORT_TEMPLATE

NOTEBOOK, PAGE = "report.ipynb", "report.html"
NEEDS = ("ipykernel", "latex2mathml", "nbclient", "nbconvert", "nbformat", "plotly")  # all of them in kit[course]


def can_report() -> bool:
    """Whether all is installed that executes and renders a notebook.

    >>> can_report()
    True
    """
    return all(find_spec(package) for package in NEEDS)


def write_report(folder: str | Path) -> Path:
    """The path of `folder`/report.html, made by report.ipynb beside it from the files of a run.

    The notebook is the kit's template with what it shows: it can be opened, changed and run again there. Raises
    `KitError` if a cell fails.
    """
    from kit.pages.template import fill_template

    return fill_template(REPORT_TEMPLATE, Path(folder))
