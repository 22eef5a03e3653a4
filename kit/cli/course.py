"""`kit course`: the notebooks executed and rendered as pages to read without Jupyter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kit.cli.options import folder_to_write, say


def course(
    out: Annotated[Path, typer.Option(help="folder for the pages")] = Path("site"),
    folder: Annotated[Path | None, typer.Option(help="folder of notebooks [default: those of the kit]")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="notebooks whose names begin so (07); several times for several")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="notebooks run at a time; with more than one, one thread each")] = 1,
    timeout: Annotated[int, typer.Option(min=1, help="seconds that one cell may take")] = 1200,
) -> None:
    """Render the course as HTML pages.

    Runs every notebook and writes a page of each, with figures, exported explorers and an index; they fetch nothing.
    Takes as long as the notebooks do, about a minute each.

    \b
    Example:
      kit course --out site --only 00 --only 12
    """
    from kit.course.hosting import HOSTING, load_hosting
    from kit.course.site import EXPLORERS, find_notebooks, make_course
    from kit.shipped import NOTEBOOKS

    folder_to_write(out, ("index.html", EXPLORERS), "course")  # the second: of a course that was stopped
    place = folder or NOTEBOOKS
    found, hosting = find_notebooks(place, only or ()), load_hosting(place / HOSTING)
    typer.echo(str(make_course(out, found, hosting, jobs=jobs, timeout=timeout, say=say)))
