"""Which extra of the kit brings a package that is not installed: `pip install "kit[widgets]"`.

The core (readers, encoders, indexes, training, the command line) needs none of them.
"""

from __future__ import annotations

from kit.types import KitError

EXTRAS = {
    "cpu": ("faiss",),
    "widgets": ("IPython", "anywidget", "ipywidgets", "plotly"),
    "lab": ("jupyterlab",),
    "course": ("ipykernel", "latex2mathml", "nbclient", "nbconvert", "nbformat"),
}
_EXTRA_OF = {package: extra for extra, packages in EXTRAS.items() for package in packages}


class MissingExtra(KitError, ModuleNotFoundError):
    """A part of the kit needs a package of an extra that is not installed."""


def missing_extra(part: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error that names the extra which `part` needs, or `error` itself if no extra brings its module.

    >>> str(missing_extra("kit.plots", ModuleNotFoundError("No module named 'plotly'", name="plotly")))
    'kit.plots: wanted the package plotly (pip install "kit[widgets]"), given a Python without it'
    """
    package = (error.name or "").partition(".")[0]
    if isinstance(error, MissingExtra) or package not in _EXTRA_OF:
        return error
    return MissingExtra(part, f'the package {package} (pip install "kit[{_EXTRA_OF[package]}]")', "a Python without it")
