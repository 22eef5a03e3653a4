"""One reading as pictures and words: the answer, attention beside leave-one-out effect, and the reading before.

Pure: readings in, HTML and figures out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from kit.metrics import exact_match
from kit.plots.style import GOLD, INK, OTHER, STRIPES, short, styled, written
from kit.widgets.passage_columns import gold_of, soft
from kit.widgets.passage_reading import PassageReading, truth_of_attention
from kit.widgets.plain_table import plain_table

HINT = (
    "Attention: the mean cross-attention logit at the first answer token; only differences mean something. "
    "Leave-one-out: how much of its own answer's log-likelihood is lost without that passage, in nats "
    "(0.7: half as likely). Where two passages say the same, neither is missed: read without both to see it."
)


def answer_html(reading: PassageReading, before: PassageReading | None, answers: Sequence[str]) -> str:
    """The answer, how likely the reader finds it, whether it is accepted, and what it was before."""
    judged = ""
    if answers:
        right = exact_match(reading.answer, answers)
        judged = f" {'✓' if right else '✗'} <small>{'accepted' if right else f'accepted: {_some(answers)}'}</small>"
    was = ""
    if before is not None:
        same = before.answer == reading.answer
        was = " (before: " + ("the same" if same else f"<b>{escape(before.answer) or 'nothing'}</b>")
        was += f", {_share(before.log_likelihood)})"
    return (
        f'<div style="font-size:1.15em;line-height:1.6">Answer: <b style="font-size:1.2em">'
        f"{escape(reading.answer) or '(nothing)'}</b>{judged}<br><small>its probability: "
        f"{_share(reading.log_likelihood)}{was}</small></div>"
    )


def truth_html(reading: PassageReading, letters: Mapping[str, str]) -> str:
    """Is attention telling the truth? One sentence, and what the two measures mean."""
    truth = truth_of_attention(reading)
    if truth is None:
        said = "Attention alone: leave-one-out is off, or there are not two passages to compare."
    else:
        first = letters[reading.ids[truth.attention_first]]
        said = f"Attention is highest on {first}; "
        if truth.effect_first is None:
            said += "but no single passage is needed: without any one of them the answer is about as likely."
        elif truth.effect_first == truth.attention_first:
            said += f"and that is the truth: without {first} the answer loses most."
        else:
            said += f"but the answer depends most on {letters[reading.ids[truth.effect_first]]}."
        if truth.effect_first is not None and not np.isnan(truth.spearman):
            said += f" Rank correlation over {len(reading.ids)} passages: {truth.spearman:.2f}."
    return f'<p style="margin:.3em 0;line-height:1.45"><b>{escape(said)}</b><br>{soft(HINT)}</p>'


def reading_figure(
    reading: PassageReading, before: PassageReading | None, answers: Sequence[str], letters: Mapping[str, str]
) -> go.Figure:
    """Two panels with a row a passage: attention score, leave-one-out effect; diamonds are the reading before.

    Attention bars begin at the lowest score, for only differences of logits mean something; the numbers stand at the
    right of each panel.
    """
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06,
        subplot_titles=["attention score", "leave-one-out effect (nats)"],
    )  # fmt: skip
    figure.update_annotations(font_size=14)
    count, gold = len(reading.passages), np.array(gold_of(reading.passages, answers), dtype=bool)
    labels = [
        f"{letters[p.id]} {'★ ' if star else ''}{short(p.title or p.id)}"
        for p, star in zip(reading.passages, gold, strict=True)
    ]
    for column, name in ((1, "attention"), (2, "effect")):
        values, old = getattr(reading, name), _aligned(reading, before, name)
        base, span = _span(np.concatenate([values, old]), name)
        _bars(figure, values, gold, base, labels, column)
        _diamonds(figure, old, labels, column)
        figure.add_scatter(
            x=[span[1]] * count, y=list(range(count)), text=[_effect(value) for value in values], mode="text",
            textposition="middle left", showlegend=False, hoverinfo="skip", row=1, col=column,
        )  # fmt: skip
        figure.update_xaxes(range=span, nticks=5, row=1, col=column)
    inner, legend = 30 * max(1, count), before is not None or bool(gold.any())
    styled(figure, inner + (100 if legend else 74)).update_layout(margin_t=66 if legend else 40)
    figure.update_layout(legend_y=1 + 26 / inner)
    figure.update_yaxes(range=[max(1, count) - 0.4, -0.6], showgrid=False, tickvals=list(range(count)), ticktext=labels)
    return figure.update_yaxes(showticklabels=False, row=1, col=2)


def _span(values: np.ndarray, name: str) -> tuple[float, list[float]]:
    """Where bars begin, and the axis's range: room at the right for a number, and no room for next to nothing."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, [0.0, 1.0]
    base = float(known.min()) if name == "attention" else 0.0
    high = max(base, float(known.max()), 0.5 if name == "effect" else base + 1e-6)
    low = min(base, float(known.min()))
    return base, [low - (0.1 if base - low > 0.02 * (high - low) else 0.02) * (high - low), high + 0.3 * (high - low)]


def _bars(
    figure: go.Figure, values: np.ndarray, gold: np.ndarray, base: float, labels: Sequence[str], column: int
) -> None:
    for is_gold, title in ((True, "★ holds an answer"), (False, "other passage")):
        rows = np.flatnonzero((gold == is_gold) & np.isfinite(values))
        figure.add_bar(
            y=rows.tolist(), x=(values[rows] - base).tolist(), base=base, orientation="h", width=0.7,
            name=title, legendgroup=title, showlegend=column == 1 and bool(gold.any()), row=1, col=column,
            marker={"color": GOLD, "pattern": STRIPES} if is_gold else {"color": OTHER},
            customdata=[[labels[row], _effect(values[row])] for row in rows],
            hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>",
        )  # fmt: skip


def _diamonds(figure: go.Figure, old: np.ndarray, labels: Sequence[str], column: int) -> None:
    rows = np.flatnonzero(np.isfinite(old))
    if len(rows):
        figure.add_scatter(
            x=old[rows].tolist(), y=rows.tolist(), mode="markers",
            name="before", legendgroup="before", showlegend=column == 1,
            marker={"symbol": "diamond-open", "size": 12, "color": INK, "line": {"width": 2}}, row=1, col=column,
            customdata=[[labels[row], _effect(old[row])] for row in rows], cliponaxis=False,
            hovertemplate="%{customdata[0]}, before: %{customdata[1]}<extra></extra>",
        )  # fmt: skip


def reading_table(
    reading: PassageReading, before: PassageReading | None, answers: Sequence[str], letters: Mapping[str, str]
) -> str:
    """The numbers of the two panels as an HTML table, with those of the reading before."""
    header = ["", "passage", "attention", "before", "leave-one-out", "before", "answer's probability without it"]
    gold = gold_of(reading.passages, answers)
    old = {name: _aligned(reading, before, name) for name in ("attention", "effect")}
    rows = [
        [letters[p.id], ("★ " if gold[n] else "") + (p.title or p.id), _effect(reading.attention[n]),
         _effect(old["attention"][n]), _effect(reading.effect[n]), _effect(old["effect"][n]),
         _share(float(reading.without[n]))]
        for n, p in enumerate(reading.passages)
    ]  # fmt: skip
    shown = [n for n in range(len(header)) if before is not None or n not in (3, 5)]
    return plain_table([header[n] for n in shown], [[row[n] for n in shown] for row in rows], words=2)


def _aligned(reading: PassageReading, before: PassageReading | None, name: str) -> np.ndarray:
    """The values (k,) of the reading before in the order of this one's passages; NaN for those it did not have."""
    known = {} if before is None else dict(zip(before.ids, getattr(before, name).tolist(), strict=True))
    return np.array([known.get(i, np.nan) for i in reading.ids], dtype=float)


def _effect(value: float) -> str:
    """Three figures at most, and nothing behind the third decimal: 1e-5 nats are none."""
    return "–" if np.isnan(value) else written(round(float(value), 3) + 0.0)


def _share(log_likelihood: float) -> str:
    share = float(np.exp(log_likelihood))
    return "–" if np.isnan(share) else "below 0.1%" if share < 0.001 else f"{share:.1%}"


def _some(answers: Sequence[str]) -> str:
    return escape(", ".join(answers[:3]) + (" …" if len(answers) > 3 else ""))
