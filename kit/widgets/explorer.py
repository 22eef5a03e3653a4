"""What every explorer shares: a box with a title that can be shown, told without widgets, exported and closed.

And its controls: a slider with a number box (arrow keys do not move sliders everywhere), a labelled choice, and a
brake for callbacks. Knows nothing of what is explored.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets

from kit.files import written_aside
from kit.pages.page import POLICY, style
from kit.types import KitError
from kit.widgets.own_keys import ROOT, OwnKeys

LABEL_WIDTH = "9em"


class Explorer(ipywidgets.VBox):
    """A titled box of controls and pictures. A subclass gives its children and `still`."""

    _held = False  # while controls are set here: their callbacks ask

    def __init__(self, title: str, children: Iterable[ipywidgets.Widget]) -> None:
        self.title = title
        heading = ipywidgets.HTML(f'<h3 style="margin:.2em 0">{escape(title)}</h3>')
        super().__init__([heading, *children, OwnKeys()], layout={"width": "100%", "overflow": "visible"})
        self.add_class(ROOT)

    def still(self) -> str:
        """The present state as HTML without script: pictures and tables, shown where widgets do not run."""
        raise NotImplementedError

    def export_body(self) -> str:
        """What an exported page holds; the static view, unless a subclass has more."""
        return self.still()

    def export_html(self, path: str | Path) -> Path:
        """The present state written as one page that fetches nothing; its path."""
        path = Path(path)
        if path.is_dir() or path.suffix.lower() not in (".html", ".htm"):
            raise KitError("export_html", "the path of an .html file", repr(str(path)))
        with written_aside(path) as aside:
            aside.write_text(_document(self.title, self.export_body()), encoding="utf-8")
        return path

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Controls that are set here do not answer."""
        held, self._held = self._held, True
        try:
            yield
        finally:
            self._held = held

    def close(self) -> None:
        """Close this explorer and all that it holds."""
        for child in getattr(self, "children", ()):
            _close(child)
        super().close()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**options)
        heading = f"<h3>{escape(self.title)}</h3>"
        still = f'<div style="color:var(--jp-content-font-color1,inherit)">{heading}{self.still()}</div>'
        return {**bundle, "text/html": still, "text/plain": f"{type(self).__name__}: {self.title}"}


def _document(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title><style>{style()}</style></head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def _close(widget: ipywidgets.Widget) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()


class StatusLine(ipywidgets.HTML):
    """A line that says what was done, or what was wrong with it; read aloud where a screen is read."""

    def say(self, text: str, *, wrong: bool = False) -> None:
        """Show the text."""
        colour = "var(--jp-error-color1,#c62828)" if wrong else "inherit"
        self.value = f'<span role="status" style="color:{colour}">{escape(text)}</span>'

    def attempt(self, action: Callable[[], object]) -> None:
        """Do what a control asks for; a mistake is told here."""
        try:
            action()
        except KitError as error:
            self.say(str(error), wrong=True)


class NumberControl(ipywidgets.HBox):
    """A slider and a number box that always agree; `value` is what they hold (an int where all bounds are ints)."""

    value = traitlets.Any()

    def __init__(self, slider: ipywidgets.Widget, box: ipywidgets.Widget) -> None:
        self.slider, self.box = slider, box
        super().__init__([slider, box])
        self.value = slider.value
        traitlets.link((slider, "value"), (box, "value"))
        slider.observe(lambda change: self.set_trait("value", change["new"]), "value")
        self.observe(lambda change: setattr(slider, "value", change["new"]), "value")

    @traitlets.validate("value")
    def _within(self, proposal: dict[str, Any]) -> float:
        value, low, high = proposal["value"], self.box.min, self.box.max
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise KitError(self.slider.description, f"a number from {low:g} to {high:g}", repr(value))
        return value


def labelled_slider(
    label: str, low: float, high: float, step: float, value: float, *, log: bool = False
) -> NumberControl:
    """A slider from `low` to `high` and a box for the exact number, linked; whole numbers where all given are.

    With `log` the slider moves evenly through powers of ten, `step` of an exponent at a time, and tells where it is
    when it comes to rest; the box takes any number between.

    >>> labelled_slider("passages", 1, 20, 1, 5).value
    5
    """
    if not low < high or step <= 0 or (log and low <= 0):
        wanted = "0 < low < high and a step above 0" if log else "low < high and a step above 0"
        raise KitError(label, wanted, f"low {low}, high {high}, step {step}")
    if not low <= value <= high:
        raise KitError(label, f"a value from {low:g} to {high:g}", value)
    whole = not log and all(isinstance(number, int) for number in (low, high, step, value))
    shared = {"description": label, "readout": False, "style": {"description_width": LABEL_WIDTH}}
    shared["layout"] = {"width": "24em", "max_width": "75%"}
    if log:
        slider = ipywidgets.FloatLogSlider(
            value=value, min=math.log10(low), max=math.log10(high), step=step, base=10, **shared
        )
        # While it updates continuously, ipywidgets' page rounds a number that is set to the slider's own next step.
        slider.continuous_update = False
        box = ipywidgets.BoundedFloatText(value=value, min=low, max=high, step=None)
    else:
        kind, text = (
            (ipywidgets.IntSlider, ipywidgets.BoundedIntText)
            if whole
            else (ipywidgets.FloatSlider, ipywidgets.BoundedFloatText)
        )
        slider = kind(value=value, min=low, max=high, step=step, **shared)
        box = text(value=value, min=low, max=high, step=step)
    # A label of no width names the box to screen readers; a tooltip would not reach its <input>.
    box.layout.width, box.style.description_width, box.description = "7em", "0px", f"{label}, exact number"
    return NumberControl(slider, box)


def labelled_choice(label: str, options: Sequence[Any], value: Any = None) -> ipywidgets.Dropdown:
    """A dropdown with its label; options are values, or (text, value) pairs; the first is chosen unless given.

    >>> labelled_choice("layer", ["all", "0", "1"]).value
    'all'
    """
    options = list(options)
    values = [option[1] if isinstance(option, tuple) else option for option in options]
    if not options:
        raise KitError(label, "at least one option", "none")
    if value is not None and value not in values:
        raise KitError(label, f"one of {values}", repr(value))
    index = 0 if value is None else values.index(value)  # by its number: the value None may be an option itself
    layout = {"width": "auto", "min_width": "18em", "max_width": "min(100%, 40em)"}
    style = {"description_width": LABEL_WIDTH}
    return ipywidgets.Dropdown(options=options, index=index, description=label, style=style, layout=layout)


def throttled(callback: Callable[..., None], per_second: float = 5) -> Callable[..., None]:
    """`callback`, run at most so often: the first call at once, of those that follow too soon the last one, later.

    Without an event loop (a plain script, a test) nothing can run later, and every call runs at once.
    """
    pause, state = 1 / per_second, {"next": 0.0, "timer": None}

    def run(*args: Any, **options: Any) -> None:
        state["timer"], state["next"] = None, time.monotonic() + pause
        callback(*args, **options)

    def call(*args: Any, **options: Any) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            run(*args, **options)
            return
        if state["timer"] is not None:
            state["timer"].cancel()
            state["timer"] = None
        wait = state["next"] - time.monotonic()
        if wait <= 0:
            run(*args, **options)
        else:
            state["timer"] = loop.call_later(wait, lambda: run(*args, **options))

    return call
