"""What the index lab shows: recall against time with memory as size, the numbers, and the plan for a whole corpus.

Pure: measures in, HTML and figures out.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from kit.plots.still import still
from kit.plots.style import DASHES, INK, SERIES, SYMBOLS, empty_figure, nth
from kit.widgets.index_measures import Measured
from kit.widgets.index_plan import Planned
from kit.widgets.passage_columns import soft
from kit.widgets.plain_table import plain_table

SMALLEST, LARGEST = 9.0, 34.0  # pixels across a point


def recall_against_time(measured: Sequence[Measured], k: int) -> go.Figure:
    """Each kind of index: recall at k over milliseconds a question (logarithmic); a point's area is its memory.

    The settings of a kind are points on a line, with their nprobe or efSearch beside them.
    """
    figure = empty_figure(height=430).update_layout(margin_t=64)
    if not measured:
        figure.add_annotation(
            text="nothing measured yet", x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"color": INK}
        )
        return figure.update_xaxes(visible=False).update_yaxes(visible=False)
    largest = max(one.bytes for one in measured)
    for number, spec in enumerate(dict.fromkeys(one.spec for one in measured)):
        rows = sorted((one for one in measured if one.spec == spec), key=lambda one: one.setting or 0)
        _draw_kind(figure, number, rows, max(SMALLEST, LARGEST * float(np.sqrt(rows[0].bytes / largest))))
    times = np.log10([max(one.milliseconds, 1e-9) for one in measured])
    room = 0.12 * (times.max() - times.min() or 1.0)
    span = [float(times.min() - room), float(times.max() + room)]
    figure.update_xaxes(
        type="log", title_text="ms a question (a point's area: memory)", range=span,
        tickvals=time_ticks(*span), ticktext=[f"{time:g}" for time in time_ticks(*span)],
    )  # fmt: skip
    lowest = min(min(one.recall for one in measured) - 0.08, 0.9)
    return figure.update_yaxes(tickformat=".0%", title_text=f"recall@{k} against exact search", range=[lowest, 1.12])


def _draw_kind(figure: go.Figure, number: int, rows: Sequence[Measured], size: float) -> None:
    """The settings of one kind of index as points on a line; `size` is a point's width in pixels."""
    colour = nth(SERIES, number)
    # A second round of colours comes with other symbols.
    marker = {"symbol": nth(SYMBOLS, number + number // len(SERIES)), "size": size, "color": colour, "opacity": 0.75}
    figure.add_scatter(
        x=[one.milliseconds for one in rows], y=[one.recall for one in rows], cliponaxis=False,
        name=f"{escape(rows[0].spec)} · {told_bytes(rows[0].bytes)}", mode="lines+markers+text", marker=marker,
        text=[str(one.setting or "") for one in rows], textposition=nth(("bottom right", "top left"), number),
        line={"color": colour, "dash": nth(DASHES, number), "width": 1.5},
        customdata=[[one.name, told_bytes(one.bytes)] for one in rows],
        hovertemplate="%{customdata[0]}: recall %{y:.1%}, %{x:.3g} ms, %{customdata[1]}<extra></extra>",
    )  # fmt: skip


def time_ticks(low: float, high: float) -> list[float]:
    """Ticks at 1, 2 and 5 times powers of ten between two exponents; at powers of ten alone where that is enough.

    >>> time_ticks(-1.1, 0.4)
    [0.1, 0.2, 0.5, 1.0, 2.0]
    """
    steps = (1,) if high - low > 3 else (1, 2, 5)
    exponents = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    values = [float(f"{step}e{exponent}") for exponent in exponents for step in steps]
    return [value for value in values if low <= np.log10(value) <= high]


def measured_table(measured: Sequence[Measured], k: int) -> str:
    """The numbers of the plot, as an HTML table."""
    header = ["index", "setting", f"recall@{k}", "ms a question", "memory", "bytes a vector", "building"]
    rows = [
        [one.spec, one.name.removeprefix(one.spec).strip() or "–", f"{one.recall:.1%}", f"{one.milliseconds:.3g}",
         told_bytes(one.bytes), f"{one.bytes / one.count:.0f}", f"{one.build_seconds:.2g} s"]
        for one in measured
    ]  # fmt: skip
    return plain_table(header, rows, words=2) if rows else ""


def plan_html(planned: Sequence[Planned], count: int, dimension: int) -> str:
    """The plan as an HTML table, with where each extrapolated time comes from."""
    header = [
        "index",
        "what it is",
        "size (computed)",
        "time a question (EXTRAPOLATED)",
        "from",
        "taken to grow with dimension and",
    ]
    rows = []
    for one in planned:
        near = one.nearest
        origin = f"{near.name}: {near.milliseconds:.3g} ms, recall {near.recall:.0%}" if near else ""
        time = "" if one.milliseconds is None else f"≈ {told_time(one.milliseconds)}"
        rows.append([one.spec, one.where, f"{one.gigabytes:,.1f} GB", time, origin, one.rule])
    numbers = plain_table(header, rows, words=6)
    return f"<p style='margin:.3em 0;line-height:1.45'>{escape(_plan_note(planned, count, dimension))}</p>{numbers}"


def _plan_note(planned: Sequence[Planned], count: int, dimension: int) -> str:
    near = [one.nearest for one in planned if one.nearest is not None]
    sizes = f"{count:,} passages, vectors of {dimension}. Sizes are computed, with 8 bytes a passage for its id."
    if not near:
        return f"{sizes} Times come as soon as something is measured."
    factor = count / near[0].count
    return (
        f"{sizes} Times are an EXTRAPOLATION, not a measurement: {factor:,.0f} times the {near[0].count:,} vectors "
        f"that were measured, and {dimension / near[0].dimension:.3g} times their dimension. What fits into a "
        "processor's cache here does not there, so expect them to be too low; recall does not carry over at all."
    )


def lab_html(
    measured: Sequence[Measured], planned: Sequence[Planned], problems: Sequence[str], told: str, sizes: tuple
) -> str:
    """The present state of a lab as HTML without script; `sizes` are k, and the plan's passages and dimension."""
    k, count, dimension = sizes
    title = f"recall at {k} against milliseconds a question"
    parts = [
        f"<p>{soft(told)}</p>",
        f"<figure style='margin:1em 0;overflow-x:auto'>{still(recall_against_time(measured, k), title=title)}</figure>",
    ]
    parts += [measured_table(measured, k), problems_html(problems)]
    parts += [f"<h4>Plan for {count:,} passages (extrapolation)</h4>", plan_html(planned, count, dimension)]
    return "".join(parts)


def problems_html(problems: Sequence[str]) -> str:
    """What could not be measured, and why."""
    items = "".join(f"<li>{escape(text)}</li>" for text in problems)
    return f"<p>Not measured:</p><ul>{items}</ul>" if items else ""


def told_bytes(size: int) -> str:
    """A size in the unit that suits it.

    >>> told_bytes(3_072_045), told_bytes(512)
    ('3.1 MB', '512 B')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def told_time(milliseconds: float) -> str:
    """A time in the unit that suits it.

    >>> told_time(0.25), told_time(61_000)
    ('0.25 ms', '61 s')
    """
    return f"{milliseconds / 1000:.2g} s" if milliseconds >= 1000 else f"{milliseconds:.2g} ms"
