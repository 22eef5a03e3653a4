"""The loss lab as HTML without script: the present state, and a page that switches presets and losses.

Pure: a bench in, HTML out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

import plotly.graph_objects as go

from kit.plots.still import still
from kit.widgets.loss_bench import LossBench
from kit.widgets.loss_pictures import compared_figure, gradient_figure, losses_html, path_figure, scores_html, told
from kit.widgets.loss_views import PRESETS, path, paths
from kit.widgets.switched_panes import switched_panes

MOST_LOSSES = 6  # of an exported page: with 12 passages and every preset more would pass 1 MB


def sentences_html(lines: Sequence[str]) -> str:
    """Sentences as paragraphs, escaped."""
    return "".join(f'<p style="margin:.2em 0;line-height:1.4">{escape(line)}</p>' for line in lines)


def still_html(bench: LossBench, losses: Sequence[str], view: str) -> str:
    """The present state: what is said, gradients, the scores after some steps, the way there, the tables."""
    after = paths(bench, losses)
    return (
        sentences_html(told(bench, after))
        + _picture(gradient_figure(bench, losses), "gradients of the compared losses, a bar a passage")
        + _picture(compared_figure(bench, after, view), f"{view} after {bench.steps} steps under each loss")
        + _picture(path_figure(bench, path(bench)), f"scores and loss step by step under {bench.loss}")
        + scores_html(bench, after)
        + losses_html(bench, after)
    )


def export_html(bench: LossBench, given: LossBench, losses: Sequence[str], view: str) -> str:
    """The present state and every preset of the scores `given`, and for each loss the way of the scores, to switch.

    The present loss and the first of those compared: at most 6.
    """
    starts = {"as it is now": ("", bench)}
    starts |= {name: (preset.note, preset.made(given)) for name, preset in PRESETS.items()}
    losses = list(dict.fromkeys([bench.loss, *losses]))[:MOST_LOSSES]
    panes: list[tuple[list[int | None], str]] = []
    for first, (note, start) in enumerate(starts.values()):
        after = paths(start, losses)
        gradients = _picture(gradient_figure(start, losses), "gradients of the compared losses, a bar a passage")
        compared = _picture(compared_figure(start, after, view), f"{view} after {bench.steps} steps under each loss")
        panes.append(([first, None], sentences_html([note] if note else []) + gradients + compared))
        for second, loss in enumerate(losses):
            one = replace(start, loss=loss)
            way = _picture(path_figure(one, after[loss]), f"scores and loss step by step under {loss}")
            panes.append(([first, second], sentences_html(told(one, {loss: after[loss]})) + way))
        panes.append(([first, None], scores_html(start, after) + losses_html(start, after)))
    settings = f"{bench.optimiser}, rate {bench.rate:.3g}, {bench.steps} steps on the scores alone."
    heats = f" Temperatures: teacher {bench.teacher_temperature:.3g}, student {bench.temperature:.3g}."
    switched = switched_panes("switched", {"start": list(starts), "loss": losses}, panes)
    return sentences_html([settings + heats]) + switched


def _picture(figure: go.Figure, title: str) -> str:
    return f'<figure style="margin:1em 0;overflow-x:auto">{still(figure, width=860, title=title)}</figure>'
