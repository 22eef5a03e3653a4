"""What comes with the kit: the folder of the toy's facts, sentences, models and results; the template of a report."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _place(installed: str, checkout: str) -> Path:
    """The folder in an installed wheel, or in a checkout."""
    return inside if (inside := _PACKAGE / installed).exists() else _PACKAGE.parent / checkout


DATA = _place("_data/toy", "data/toy")
NOTEBOOKS = _place("_notebooks", "notebooks")
REPORT_TEMPLATE = NOTEBOOKS / "templates" / "report.ipynb"
