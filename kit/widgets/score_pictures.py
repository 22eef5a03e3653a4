"""Pictures and tables of aligned scores and a choice: what the explorer of score distributions shows.

Pure: figures, HTML and plain text out; the arithmetic is in kit.widgets.score_views.
"""

from __future__ import annotations

from html import escape

import numpy as np
import plotly.graph_objects as go

from kit.plots import passage_bars, score_distributions
from kit.plots.style import DASHES, GOLD, OTHER, SERIES, STRIPES, SYMBOLS, empty_figure, nth, short, written
from kit.widgets.captioned_table import captioned_table
from kit.widgets.loss_gradients import takes_temperature
from kit.widgets.score_views import (
    AlignedScores,
    ScoreChoice,
    gradient_by_rank,
    gradient_of,
    margins,
    numbers,
    shares,
    temperature_of,
)

SHOWN = 20  # passages of one question: more bars would not be read
POINTS = 200  # of a curve over questions
ROUNDING = 1e-7  # of scores that were kept as float32: a smaller gradient is none
HEADER = (
    "table", "scored", "entropy (nats)", "margin / T", "gold on top", "Kendall", "Spearman", "top-5 overlap", "loss",
)  # fmt: skip


def table_figure(scores: AlignedScores, choice: ScoreChoice, name: str) -> go.Figure:
    """One table: of all questions how its scores (or shares) spread, gold apart; of one question a bar a passage."""
    values, temperature = scores.values(name), temperature_of(scores, choice, name)
    if choice.show == "shares":
        values = shares(values, temperature)
    if choice.question is None:
        if not np.isfinite(values).any():
            return _nothing(f"{name}: no score on the teacher's passages")
        return score_distributions({heading(scores, choice, name): values}, scores.gold).update_layout(height=300)
    row, cells = scores.row_of(choice.question), shown_cells(scores, choice)
    figure = passage_bars(
        values[row, cells], labels(scores, choice), scores.gold[row, cells], from_lowest=choice.show == "scores",
        name="score" if choice.show == "scores" else f"share at temperature {temperature:.3g}",
    )  # fmt: skip
    return titled(figure, heading(scores, choice, name))


def titled(figure: go.Figure, title: str) -> go.Figure:
    """The figure with its title right above the plot, and the legend above that, as in `kit.plots.panels`."""
    inner = figure.layout.height - 90
    figure.add_annotation(
        text=escape(title), x=0.5, y=1, xref="paper", yref="paper", yanchor="bottom", showarrow=False, font={"size": 14}
    )
    return figure.update_layout(margin_t=74, height=figure.layout.height + 30, legend_y=1 + 26 / inner)


def heading(scores: AlignedScores, choice: ScoreChoice, name: str) -> str:
    """A table's name, and whether it is the teacher or the student."""
    role = "teacher" if name == scores.teacher else "student" if name == choice.student else ""
    return f"{name} ({role})" if role and role != name else name


def shown_cells(scores: AlignedScores, choice: ScoreChoice) -> list[int]:
    """The columns of one question's passages that are drawn, in the teacher's order: at most 20.

    Where there are more: gold passages first, then those that the teacher or the student ranks highest.
    """
    row = scores.row_of(choice.question)
    present = np.flatnonzero(scores.tables[scores.teacher].mask[row])
    teacher, student = _ranks(scores.values(scores.teacher)[row]), _ranks(scores.values(choice.student)[row])
    best = sorted(present.tolist(), key=lambda cell: (not scores.gold[row, cell], min(teacher[cell], student[cell])))
    return sorted(best[:SHOWN], key=lambda cell: teacher[cell])


def labels(scores: AlignedScores, choice: ScoreChoice) -> list[str]:
    """The titles of the drawn passages, with their ids where a title is there twice or is missing."""
    ids = scores.tables[scores.teacher].passage_ids[scores.row_of(choice.question), shown_cells(scores, choice)]
    titles = [scores.titles[i] or i for i in ids.tolist()]
    return [f"{t} [{i}]" if titles.count(t) > 1 else t for t, i in zip(titles, ids.tolist(), strict=True)]


def margin_figure(scores: AlignedScores, choice: ScoreChoice) -> tuple[go.Figure, list[list[str]]]:
    """Each table's margins (over its temperature) from the highest to the lowest, and the question of each point.

    Where a curve crosses 0 is the share of questions with gold on top. The chosen question is a star on each curve.
    """
    figure, points, ids = empty_figure(height=340), [], list(scores.questions)
    for number, name in enumerate(scores.tables):
        values = margins(scores.values(name), scores.gold) / temperature_of(scores, choice, name)
        order = [row for row in np.argsort(-values, kind="stable").tolist() if not np.isnan(values[row])]
        places = np.unique(np.linspace(0, len(order) - 1, min(POINTS, len(order))).round().astype(int))
        rows = [order[place] for place in places]
        symbols = ["star" if ids[row] == choice.question else nth(SYMBOLS, number) for row in rows]
        figure.add_scatter(
            x=(places + 0.5) / max(1, len(order)), y=values[rows], mode="lines+markers", cliponaxis=False,
            name=escape(heading(scores, choice, name)),
            line={"color": nth(SERIES, number), "dash": nth(DASHES, number)},
            marker={"symbol": symbols, "size": [15 if symbol == "star" else 5 for symbol in symbols]},
            hovertemplate="margin %{y:.3g}<extra>" + escape(name) + "</extra>",
        )  # fmt: skip
        points.append([ids[row] for row in rows])
    figure.add_hline(y=0, line={"color": "#7a7a7a", "width": 1})
    figure.update_xaxes(title_text="share of questions", tickformat=".0%", range=[0, 1])
    return figure.update_yaxes(title_text="gold − best other"), points


def gradient_figure(scores: AlignedScores, choice: ScoreChoice) -> go.Figure:
    """The loss's gradient with respect to the student's scores: by passage, or by place in the teacher's order."""
    title = f"gradient of {choice.loss}"
    if choice.question is not None:
        at, cells = gradient_of(scores, choice)[0], shown_cells(scores, choice)
        gold = scores.gold[scores.row_of(choice.question), cells]
        figure = passage_bars(at.gradient[0, cells], labels(scores, choice), gold, name=title)
        low, high = min(0.0, *at.gradient[0, cells]), max(0.0, *at.gradient[0, cells])
        room = 0.3 * ((high - low) or 1.0)  # for the numbers beside the bars, on both sides
        return figure.update_xaxes(range=[low - 1.3 * room * bool(low < 0), high + room], nticks=5)
    means = gradient_by_rank(scores, choice)
    means[np.abs(means) < ROUNDING] = 0.0
    figure, places = empty_figure(height=340), list(range(1, means.shape[1] + 1))
    for kind, name, colour in ((0, "★ gold passages", GOLD), (1, "other passages", OTHER)):
        known = ~np.isnan(means[kind])
        figure.add_bar(
            x=np.array(places)[known], y=means[kind][known], name=name,
            marker={"color": colour, "pattern": STRIPES} if kind == 0 else {"color": colour},
            hovertemplate="place %{x}: %{y:.3g}<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_xaxes(title_text="place in the teacher's order", dtick=1 if len(places) <= 25 else 10)
    return figure.update_yaxes(title_text=f"mean {title}", exponentformat="power")


def numbers_html(scores: AlignedScores, choice: ScoreChoice) -> str:
    """The numbers of every table, as an HTML table."""
    rows = [
        [heading(scores, choice, str(row["table"])), _percent(row["scored"]), _number(row["entropy"]),
         _number(row["margin"]), _percent(row["on_top"]), _number(row["kendall"]), _number(row["spearman"]),
         _percent(row["overlap"]), _number(row["loss"])]
        for row in numbers(scores, choice)
    ]  # fmt: skip
    header = (*HEADER[:-1], choice.loss)
    over = "this question" if choice.question is not None else f"means over {len(scores.gold)} questions"
    return captioned_table(f"Each table on the teacher's passages: {over}", header, rows)


def told(scores: AlignedScores, choice: ScoreChoice) -> list[str]:
    """What must be said beside the pictures, as sentences: the question, the loss, what is left out."""
    at, rows = gradient_of(scores, choice)
    lines = []
    if choice.question is not None:
        lines.append(scores.questions[choice.question])
    lines.append(
        f"{choice.loss}({choice.student}, {scores.teacher}) = {_number(at.value)}. A step goes against the gradient: "
        "a score with a negative gradient rises."
    )
    if not takes_temperature(choice.loss):
        lines.append(f"{choice.loss} takes no temperature: it compares the scores as they are.")
    if len(rows) < len(scores.gold) and choice.question is None:
        lines.append(f"The losses are over the first {len(rows)} questions.")
    hidden = 0 if choice.question is None else _present(scores, choice) - len(shown_cells(scores, choice))
    if hidden:
        lines.append(f"{hidden} more passages are not drawn; the numbers count them.")
    without = np.isnan(margins(scores.values(scores.teacher), scores.gold)).sum()
    if without and choice.question is None:
        lines.append(f"{without} questions have no margin: gold or other passages are missing.")
    return lines


def _present(scores: AlignedScores, choice: ScoreChoice) -> int:
    return int(scores.tables[scores.teacher].mask[scores.row_of(choice.question)].sum())


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, highest first; unscored passages come last."""
    order = np.argsort(np.where(np.isnan(values), np.inf, -values), kind="stable")
    return np.argsort(order)


def _nothing(text: str) -> go.Figure:
    figure = empty_figure(height=300)
    figure.add_annotation(text=escape(short(text)), showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)


def _number(value: float) -> str:
    """Three digits; what is left by rounding (below 1e-9) is 0."""
    return "–" if np.isnan(value) else written(value if abs(value) > 1e-9 else 0.0)


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0%}"
