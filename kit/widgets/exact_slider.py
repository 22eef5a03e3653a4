"""A logarithmic slider that leaves a number typed beside it as it is: for temperatures and rates."""

from __future__ import annotations

from kit.widgets.explorer import NumberControl, labelled_slider


def exact_slider(label: str, low: float, high: float, value: float) -> NumberControl:
    """A slider through powers of ten, 20 steps to each, and a box for any number between `low` and `high`.

    >>> exact_slider("temperature", 0.01, 100.0, 4.0).value
    4.0
    """
    control = labelled_slider(label, low, high, 0.05, value, log=True)
    # While it updates continuously, ipywidgets' page rounds a number that is set to the slider's own next step.
    control.slider.continuous_update = False
    return control
