"""JupyterLab over a student's own copies of the notebooks."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from kit.course.copies import copy_notebooks
from kit.types import KitError


def open_lab(folder: str | Path, options: Sequence[str] = (), *, say: Callable[[str], None] = print) -> int:
    """The exit code of JupyterLab, which runs until it is stopped, in a folder with copies of the notebooks.

    `options` are JupyterLab's own; `say` gets a line for the files that were copied, renewed, or kept as they were
    changed. Raises `KitError` without JupyterLab.
    """
    if find_spec("jupyterlab") is None:
        raise KitError("kit lab", "JupyterLab (pip install jupyterlab)", "a Python without it")
    outcome = copy_notebooks(folder)
    for word in ("new", "renewed", "kept"):
        names = [name for name, result in outcome.items() if result == word]
        if names:
            say(f"{folder}: {word}: {', '.join(names) if word != 'new' else f'{len(names)} files'}")
    process = subprocess.Popen([sys.executable, "-m", "jupyterlab", str(folder), *options])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which asks before it ends
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
