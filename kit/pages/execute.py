"""A notebook run from top to bottom in its own kernel by nbclient, and the explorers that it showed, exported as pages.

Knows nothing of how pages look (`kit.pages.notebook`).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.types import KitError

if TYPE_CHECKING:
    from nbformat import NotebookNode

WIDGET = "application/vnd.jupyter.widget-view+json"
# Run in the kernel after the notebook: exports the explorers among `models`; prints {model: {"name", "file"}}.
EXPORT = """
def _export(models, folder, stem):
    import json, re
    shell, exported = get_ipython(), {{}}
    for value in [*shell.user_ns.get("Out", {{}}).values(), *shell.user_ns.values()]:
        model = getattr(value, "model_id", None) if hasattr(type(value), "export_html") else None
        if model in models and model not in exported:
            words = re.sub("(?<=[a-z])(?=[A-Z])", " ", type(value).__name__)
            file = f"{{stem}}-{{len(exported) + 1}}-{{words.lower().replace(' ', '-')}}.html"
            value.export_html(f"{{folder}}/{{file}}")
            exported[model] = {{"name": words.capitalize(), "file": file}}
    print(json.dumps(exported))
_export({models!r}, {folder!r}, {stem!r})
"""


@dataclass(frozen=True)
class Executed:
    """A notebook with its outputs, the seconds that it took, and {widget model: {"name", "file"}} of its explorers."""

    notebook: NotebookNode
    seconds: float
    explorers: dict[str, dict[str, str]] = field(default_factory=dict)


def execute_notebook(
    notebook: Path | NotebookNode,
    explorers: Path | None = None,
    *,
    folder: Path | None = None,
    name: str | None = None,
    timeout: int = 1200,
    environment: Mapping[str, str] = {},
) -> Executed:
    """The executed notebook; its explorers are exported into the folder `explorers`, if one is given.

    The kernel runs in `folder` (by default the notebook's own) with `environment` in addition to this process's. Raises
    `KitError` with notebook, cell and error if a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    path = notebook if isinstance(notebook, Path) else Path(name or "notebook.ipynb")
    content = nbformat.read(path, as_version=4) if isinstance(notebook, Path) else notebook
    place = {"metadata": {"path": str((folder or path.parent).resolve())}}
    quiet = ["--IPKernelApp.log_level=ERROR"]  # the kernel would warn of its own unencrypted sockets
    client = NotebookClient(content, timeout=timeout, resources=place, store_widget_state=False, extra_arguments=quiet)
    start = time.perf_counter()
    with client.setup_kernel(env={**os.environ, **environment}):
        for number, cell in enumerate(content.cells):
            try:
                client.execute_cell(cell, number)
            except CellExecutionError as error:
                raise KitError(f"{path.name}, cell {cell.id}", "a cell that runs", _last_line(error)) from None
        seconds = time.perf_counter() - start
        exported = {} if explorers is None else _exported(client, content, explorers, path.stem)
    return Executed(content, seconds, exported)


def _last_line(error: Exception) -> str:
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _exported(client: Any, notebook: NotebookNode, folder: Path, stem: str) -> dict[str, dict[str, str]]:
    from nbformat.v4 import new_code_cell

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    models = [output.data[WIDGET]["model_id"] for output in outputs if WIDGET in output.data]
    if not models:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    source = EXPORT.format(models=models, folder=str(folder.resolve()), stem=stem)
    notebook.cells.append(new_code_cell(source))
    try:
        done = client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
    finally:
        notebook.cells.pop()
    printed = "".join(output.text for output in done.outputs if output.output_type == "stream")
    return json.loads(printed.splitlines()[-1])
