"""The folder of files that come with the kit: the toy's facts, sentences, models and results."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_data" / "toy"  # in a wheel; a checkout has them in data/
DATA = _INSTALLED if _INSTALLED.exists() else _PACKAGE.parent / "data" / "toy"
