"""One question followed through a run: what was found, read, said and looked at, as HTML parts of the report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from kit.metrics import exact_match
from kit.plots import passage_bars, rank_changes, token_shading
from kit.report.page import heading, paragraph, picture, table

STAR = "★\N{NO-BREAK SPACE}"
SEARCHERS = {"bm25": "BM25", "before": "student before", "after": "student after"}


def story_parts(story: dict[str, Any]) -> list[str]:
    """The section's parts, in the order of the pipeline: the question, found, read, answered, attended, learned."""
    return [
        f"<blockquote>{escape(story['question'])}</blockquote>",
        paragraph("Accepted answers: " + "; ".join(story["answers"]) + "."),
        paragraph(
            "The question was chosen because it tells much, not because it is typical: where there is one, it is a "
            "question that the reader answers, to which BM25's first passage does not hold the answer and the "
            "taught student's does.",
            "soft",
        ),
        *_found(story["found"]),
        *_read(story),
        *_attended(story["passages"]),
        *_tokens(story["passages"]),
        *_learned(story["passages"]),
    ]


def softmax(scores: Sequence[float]) -> np.ndarray:
    """The shares (k) that a softmax gives to the scores (k).

    >>> softmax([1.0, 1.0]).tolist()
    [0.5, 0.5]
    """
    values = np.asarray(scores, dtype=np.float64)
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def _found(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    depth = max(len(found[name]) for name in SEARCHERS)
    rows = [
        [str(rank + 1), *(_marked(found[name][rank]) if rank < len(found[name]) else "" for name in SEARCHERS)]
        for rank in range(depth)
    ]
    places = []
    for name, label in SEARCHERS.items():
        first = next((rank for rank, hit in enumerate(found[name], start=1) if hit["gold"]), None)
        places.append(f"{label} has it at place {first}" if first else f"{label} does not have it among these")
    return [
        heading("Found in the whole corpus"),
        paragraph(
            "Three searchers look for passages: BM25, which counts words; and the student, a dual encoder that "
            "compares vectors, before and after the reader taught it. The first gold passage (★, it holds the "
            f"answer): {'; '.join(places)}."
        ),
        table(f"The first {depth} titles of each searcher", ["rank", *SEARCHERS.values()], rows, words=4),
    ]


def _read(story: dict[str, Any]) -> list[str]:
    passages = story["passages"]
    right = exact_match(story["said"], tuple(story["answers"]))
    items = "".join(
        f"<li><strong>{escape(_marked(passage))}</strong> "
        f'<span class="soft">(BM25 {_value(passage["bm25"])})</span><br>{escape(passage["text"])}</li>'
        for passage in passages
    )
    return [
        heading("Read"),
        paragraph(
            f"The reader encodes each of these {len(passages)} passages with the question, and its decoder looks at "
            "all of them together (Fusion-in-Decoder). They stand in BM25's order; the reader is not told which one "
            "is gold."
        ),
        f'<ol class="passages">{items}</ol>',
        heading("Answered"),
        f"<p>The reader says: <strong>{escape(story['said'] or '(nothing)')}</strong>, which is "
        f"{'right' if right else 'wrong'} by exact match.</p>",
    ]


def _attended(passages: list[dict[str, Any]]) -> list[str]:
    scores = [passage["attention"] for passage in passages]
    shares = {name: softmax([passage[name] for passage in passages]) for name in ("attention", "before", "after")}
    top = int(np.argmax(scores))
    rows = [
        [_label(number, passage), _value(passage["bm25"]), _value(passage["attention"]),
         *(f"{shares[name][number]:.1%}" for name in shares)]
        for number, passage in enumerate(passages)
    ]  # fmt: skip
    return [
        heading("Attention as a score"),
        paragraph(
            "While the reader writes the first token of its answer, its decoder's cross-attention is recorded. The "
            "mean of the logits over a passage's tokens, and over all layers and heads, is the passage's score. No "
            "gold label goes into it."
        ),
        picture(
            "attention",
            passage_bars(
                scores,
                _labels(passages),
                [passage["gold"] for passage in passages],
                name="attention score",
                from_lowest=True,
            ),
            f"The reader's attention is highest for passage {top + 1}, {passages[top]['title']}, which is "
            f"{'gold' if passages[top]['gold'] else 'not gold'}. Bars begin at the lowest score: of logits only "
            "differences mean something. A softmax makes shares of them, and gives this passage "
            f"{shares['attention'][top]:.1%}.",
        ),
        table(
            "What the student is to learn: shares of a softmax over these passages",
            ["passage", "BM25", "attention score", "attention share", "student before", "student after"],
            rows,
        ),
    ]


def _tokens(passages: list[dict[str, Any]]) -> list[str]:
    """The passage that the reader looks at most, and one to compare it with: of the other kind, where there is one."""
    order = sorted(range(len(passages)), key=lambda number: -passages[number]["attention"])
    top, *others = order
    shown = [top, *[n for n in others if passages[n]["gold"] != passages[top]["gold"]][:1]]
    if len(shown) == 1:
        shown += others[:1]
    highest = max(max(passages[number]["probabilities"], default=0.0) for number in shown)
    cards = [
        f'<div class="card"><p><strong>{escape(_label(number, passages[number]))}</strong>, '
        f"{'gold' if passages[number]['gold'] else 'not gold'}: "
        f"{sum(passages[number]['probabilities']):.1%} of the attention</p>"
        f"{token_shading(passages[number]['tokens'], passages[number]['probabilities'], maximum=highest)}</div>"
        for number in shown
    ]
    best = int(np.argmax(passages[top]["probabilities"]))
    word = passages[top]["tokens"][best].removeprefix("▁").removeprefix("##")
    return [
        heading("Where the reader looks"),
        *cards,
        paragraph(
            "Each token is shaded by its attention probability, the mean over all layers and heads, on one scale in "
            "both passages; the probabilities of all passages together sum to one. In the passage with the highest "
            f"score the reader looks most at “{word}”."
        ),
    ]


def _learned(passages: list[dict[str, Any]]) -> list[str]:
    before, after = ([passage[name] for passage in passages] for name in ("before", "after"))
    gold = [passage["gold"] for passage in passages]
    seen = "None of these passages is gold."
    if any(gold):
        places = [_best_rank(scores, gold) for scores in (before, after)]
        seen = f"The best gold passage stands at place {places[0]} before and at place {places[1]} after."
    return [
        heading("Learned from it"),
        picture(
            "learned",
            rank_changes(before, after, _labels(passages), gold, names=("student before", "student after")),
            f"The same {len(passages)} passages in the student's order, before and after it learned from the reader's "
            f"attention. {seen} This question is a test question: the student never saw the reader's scores for it.",
        ),
    ]


def _best_rank(scores: Sequence[float], gold: Sequence[bool]) -> int:
    """The best rank, from 1, of a gold passage; ties keep their order."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    return 1 + next(place for place, number in enumerate(order.tolist()) if gold[number])


def _labels(passages: list[dict[str, Any]]) -> list[str]:
    return [f"#{number} {passage['title']}" for number, passage in enumerate(passages, start=1)]


def _label(number: int, passage: dict[str, Any]) -> str:
    return f"{STAR if passage['gold'] else ''}#{number + 1}\N{NO-BREAK SPACE}{passage['title']}"


def _marked(passage: dict[str, Any]) -> str:
    return f"{STAR if passage['gold'] else ''}{passage['title']}"


def _value(value: float | None) -> str:
    return "not found" if value is None else f"{value:.2f}".replace("-", "−")
