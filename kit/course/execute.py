"""A notebook run from top to bottom in its own kernel, and the explorers that it showed, exported as pages.

Knows nothing of how pages look.
"""

from __future__ import annotations

import ast
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.types import KitError

if TYPE_CHECKING:
    from nbformat import NotebookNode

WIDGET = "application/vnd.jupyter.widget-view+json"
# Run in the kernel after the notebook: exports what of these models is an explorer; prints {model: file}.
EXPORT = """
def _kit_export(models, folder, stem):
    from ipywidgets.widgets import widget as widgets
    from kit.widgets.explorer import Explorer
    live, made = getattr(widgets, "_instances", {{}}), {{}}
    for model in models:
        if isinstance(live.get(model), Explorer):
            made[model] = f"{{stem}}-{{len(made) + 1}}.html"
            live[model].export_html(f"{{folder}}/{{made[model]}}")
    print(made)
_kit_export({models!r}, {folder!r}, {stem!r})
"""


@dataclass(frozen=True)
class Executed:
    """A notebook with its outputs, the seconds that it took, and {widget model: exported page} of its explorers."""

    notebook: NotebookNode
    seconds: float
    explorers: dict[str, str]


def execute(path: Path, explorers: Path | None = None, *, timeout: int = 1200, threads: int | None = None) -> Executed:
    """The executed notebook; its explorers are exported into the folder `explorers`, where one is given.

    `threads` of torch, for kernels that run beside each other. A cell that fails is a `KitError` that names notebook,
    cell and error.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent.resolve())}}
    quiet = ["--IPKernelApp.log_level=ERROR"]  # the kernel would warn of its own unencrypted sockets
    client = NotebookClient(notebook, timeout=timeout, resources=place, store_widget_state=False, extra_arguments=quiet)
    environment = {**os.environ} | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    start = time.perf_counter()
    with client.setup_kernel(env=environment):
        for number, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, number)
            except CellExecutionError as error:
                raise KitError(f"{path.name}, cell {cell.id}", "a cell that runs", _last_line(error)) from None
        seconds = time.perf_counter() - start
        made = {} if explorers is None else _exported(client, notebook, explorers, path.stem)
    return Executed(notebook, seconds, made)


def _last_line(error: Exception) -> str:
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _exported(client: Any, notebook: NotebookNode, folder: Path, stem: str) -> dict[str, str]:
    from nbformat.v4 import new_code_cell

    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ()) if "data" in one]
    models = [one.data[WIDGET]["model_id"] for one in outputs if WIDGET in one.data and "text/html" in one.data]
    if not models:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    notebook.cells.append(new_code_cell(EXPORT.format(models=models, folder=str(folder.resolve()), stem=stem)))
    try:
        done = client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
    finally:
        notebook.cells.pop()
    return ast.literal_eval("".join(one.text for one in done.outputs if one.output_type == "stream").splitlines()[-1])
