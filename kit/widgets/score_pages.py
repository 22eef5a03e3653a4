"""Score distributions as HTML without script: the present state, and a page that switches losses and temperatures.

Pure: aligned scores and a choice in, HTML out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

import plotly.graph_objects as go

from kit.plots.still import still
from kit.widgets.score_pictures import gradient_figure, heading, margin_figure, numbers_html, table_figure, told
from kit.widgets.score_views import AlignedScores, ScoreChoice
from kit.widgets.switched_panes import switched_panes

LOSSES_SHOWN = ("kl", "reverse_kl", "mse", "margin_mse", "ranknet")
TEMPERATURES = (0.25, 1.0, 4.0, 16.0)
GRID = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:.6rem"


def sentences_html(lines: Sequence[str]) -> str:
    """Sentences as paragraphs, escaped."""
    return "".join(f'<p style="margin:.2em 0;line-height:1.4">{escape(line)}</p>' for line in lines)


def still_html(scores: AlignedScores, choice: ScoreChoice) -> str:
    """The present state: what is said, every table's picture, margins, gradient, and the numbers."""
    return (
        sentences_html(told(scores, choice))
        + f'<div style="{GRID}">{_tables(scores, choice)}{_gradient(scores, choice)}{_margins(scores, choice)}</div>'
        + numbers_html(scores, choice)
    )


def export_html(scores: AlignedScores, choice: ScoreChoice) -> str:
    """The present state with radio buttons for the loss and the teacher's temperature; the student's stays."""
    losses = list(dict.fromkeys([choice.loss, *LOSSES_SHOWN]))
    heats = sorted({choice.teacher_temperature, *TEMPERATURES})
    groups = {"loss": losses, "teacher temperature": [f"{heat:.3g}" for heat in heats]}
    panes: list[tuple[list[int | None], str]] = []
    for second, heat in enumerate(heats):
        hot = replace(choice, teacher_temperature=heat)
        panes.append(([None, second], f'<div style="{GRID}">{_shares(scores, hot)}{_margins(scores, hot)}</div>'))
        for first, loss in enumerate(losses):
            now = replace(hot, loss=loss)
            html = sentences_html(told(scores, now)) + _gradient(scores, now) + numbers_html(scores, now)
            panes.append(([first, second], html))
    chosen = (losses.index(choice.loss), heats.index(choice.teacher_temperature))
    scores_now = f'<h2>Scores</h2><div style="{GRID}">{_tables(scores, replace(choice, show="scores"))}</div>'
    return scores_now + "<h2>Shares and gradient</h2>" + switched_panes("switched", groups, panes, chosen)


def _tables(scores: AlignedScores, choice: ScoreChoice) -> str:
    names = dict.fromkeys([scores.teacher, choice.student, *scores.tables])
    return "".join(_picture(table_figure(scores, choice, name), heading(scores, choice, name)) for name in names)


def _shares(scores: AlignedScores, choice: ScoreChoice) -> str:
    choice = replace(choice, show="shares")
    names = dict.fromkeys([scores.teacher, choice.student])
    return "".join(_picture(table_figure(scores, choice, name), heading(scores, choice, name)) for name in names)


def _gradient(scores: AlignedScores, choice: ScoreChoice) -> str:
    title = f"gradient of {choice.loss} with respect to the student's scores"
    return _picture(gradient_figure(scores, choice), title)


def _margins(scores: AlignedScores, choice: ScoreChoice) -> str:
    return _picture(margin_figure(scores, choice)[0], "margins: gold minus the best other passage, over questions")


def _picture(figure: go.Figure, title: str) -> str:
    return f'<figure style="margin:1em 0;overflow-x:auto">{still(figure, width=440, title=title)}</figure>'
