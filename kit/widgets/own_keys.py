"""Keys for an explorer's own controls: JupyterLab would take arrow keys and letters as its shortcuts among cells."""

from __future__ import annotations

from pathlib import Path

import anywidget

ROOT = "kit-own-keys"  # the class of the box whose controls keep their keys


class OwnKeys(anywidget.AnyWidget):
    """A widget without a look: put it into a box with the class `ROOT`, and plain keys stay with the box's controls.

    Escape, Shift-Enter and what is pressed with Control, Alt or Command still go to the notebook.
    """

    _esm = Path(__file__).parent / "js" / "own_keys.js"
