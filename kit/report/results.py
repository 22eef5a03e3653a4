"""What a run measured, as HTML parts of the report: evidence, distributions, recall, exact match, training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kit.plots import evidence_bars, exact_match_bars, recall_curves, score_distributions, training_curve
from kit.report.files import Run
from kit.report.page import heading, paragraph, percent, picture, table

KINDS = {
    "all": "all test questions",
    "one fact": "one fact a passage",
    "several facts": "several facts a passage",
    "right entity only": "right entity only",
    "with look-alikes": "with look-alikes",
    "real": "real entities",
    "made": "made-up entities",
    "counterfactual": "imagined worlds",
}
SERIES = {"teacher": "teacher: attention", "before": "student before", "after": "student after"}


def evidence_parts(figures: dict[str, Any]) -> list[str]:
    evidence, kept = figures["evidence"], figures.get("evidence_kept")
    few = f"{kept} passages" if kept else "a few passages"
    kinds = {"all": "all", "attention": "attention", "bm25": "BM25", "random": "random"}
    shown = {label: evidence[name] for name, label in kinds.items()}
    than = _compared(evidence["attention"], evidence["bm25"])
    return [
        paragraph(
            "If attention finds the evidence, then the reader should answer as well from the few passages with the "
            f"highest attention as from all of them. So the reader read again, only {few} of each question, kept by "
            "three rules."
        ),
        picture(
            "evidence",
            evidence_bars(shown),
            f"Exact match is {percent(evidence['all'])} with all passages (dashed line), "
            f"{percent(evidence['attention'])} with {few} by attention, {percent(evidence['bm25'])} by BM25's "
            f"order and {percent(evidence['random'])} at random. What attention keeps answers {than} BM25's first "
            "passages do.",
        ),
        table("Exact match by what was kept", ["kept by", "exact match"], _rows(shown)),
    ]  # fmt: skip


def distribution_parts(run: Run) -> list[str]:
    frame = run.distributions
    gold = frame["gold"].to_numpy(dtype=bool)
    questions = frame["question_id"].to_numpy()
    values = {label: _centred(frame[name].to_numpy(dtype=np.float64), questions) for name, label in SERIES.items()}
    told = {label: gold_above(scores, gold, questions) for label, scores in values.items()}
    rows = [[label, percent(pairs), percent(first)] for label, (pairs, first) in told.items()]
    rows.append(["by chance", *map(percent, _by_chance(gold, questions))])
    before, after = told[SERIES["before"]][0], told[SERIES["after"]][0]
    return [
        paragraph(
            f"Scores of the same {len(frame):,} passages of {len(set(questions)):,} test questions, by the reader's "
            "attention and by the student before and after. From each score the mean of its question is taken away, "
            "as the loss does not see it: what counts is which passage of a question is higher. Each panel has its "
            "own scale."
        ),
        picture(
            "distributions",
            score_distributions(values, gold),
            "The further the striped shape (gold passages) stands to the right of the dotted one (other passages), "
            "the better a score tells them apart. The student puts a gold passage above another one in "
            f"{percent(before)} of the pairs before, and in {percent(after)} after.",
        ),
        table("How well scores tell gold passages from others", ["scores", "gold above other", "gold first"], rows),
    ]  # fmt: skip


def result_parts(run: Run) -> list[str]:
    figures = run.figures
    last, bm25 = last_round(figures), figures["bm25"]["recall"]
    recall = {"BM25": bm25, "student before": figures["before"]["recall"]}
    recall |= {f"round {r['number']}": r["recall"] for r in figures["rounds"]}
    ks = sorted({k for shares in recall.values() for k in shares}, key=int)
    told = [f"{percent(share)} at {k} (BM25 {percent(bm25.get(k))})" for k, share in last["recall"].items()]
    return [
        picture(
            "recall",
            recall_curves(recall),
            f"Recall of the student after round {last['number']}: {', '.join(told)}.",
        ),
        table(
            "Recall at k",
            ["retriever", *ks],
            [[name, *(percent(shares.get(k)) for k in ks)] for name, shares in recall.items()],
        ),
        *_exact_match(figures),
        *_training(run.training),
    ]


def _exact_match(figures: dict[str, Any]) -> list[str]:
    reader = figures["reader"]
    names = [*(name for name in KINDS if name in reader["em"]), *(name for name in reader["em"] if name not in KINDS)]
    by_kind = {KINDS.get(name, name): reader["em"][name] for name in names}
    by_round = {f"round {r['number']}": r["em"] for r in figures["rounds"]}
    return [
        heading("Exact match"),
        picture(
            "em-rounds",
            exact_match_bars(by_round),
            "Exact match of each round's reader on the test questions, with the passages that its round's student "
            f"finds; the first reader with BM25's passages has {percent(reader['em']['all'])}.",
        ),
        picture(
            "em-kinds",
            exact_match_bars(by_kind),
            f"Exact match of the first reader, with BM25's passages, by kind of question.{how_sure(reader)} With "
            "look-alikes: every gold passage tells of another entity too. Imagined worlds: what the passages say is "
            "true nowhere else, so a right answer was read, not remembered.",
        ),
        table("Exact match by kind of question", ["kind", "exact match"], _rows(by_kind)),
    ]


def _training(training: dict[str, Any]) -> list[str]:
    reader = training["reader"]
    rows = [{**row, "run": f"round {r['number']}"} for r in training["rounds"] for row in r["student"]]
    final = training["rounds"][-1]["student"][-1]
    return [
        heading("Training"),
        picture(
            "reader-loss",
            training_curve(reader, ["loss"]),
            f"The loss of the first round's reader, in nats a token of the answer: {reader[0]['loss']:.2f} at step "
            f"{reader[0]['step']:,}, {reader[-1]['loss']:.2f} at step {reader[-1]['step']:,}.",
        ),
        picture(
            "student-loss",
            training_curve(rows, ["loss", "agreement", "entropy"]),
            "The student's loss (how far its shares are from the reader's), the share of training questions on which "
            f"both put the same passage first ({percent(final['agreement'])} at the end), and the entropy of the "
            "student's shares in nats: 0 where one passage has all.",
        ),
    ]


def gold_above(scores: ArrayLike, gold: ArrayLike, questions: ArrayLike) -> tuple[float, float]:
    """The share of (gold, other) pairs of a question with gold higher, and of questions with gold first.

    scores, gold, questions (x). Means over the questions that have both kinds, NaN where none has; a tie is half a
    pair, and is not first.

    >>> gold_above([3.0, 2.0, 1.0], [False, True, False], ["q", "q", "q"])
    (0.5, 0.0)
    """
    values, marked, names = np.asarray(scores), np.asarray(gold, dtype=bool), np.asarray(questions)
    pairs, firsts = [], []
    for name in dict.fromkeys(names.tolist()):
        mine, other = values[(names == name) & marked], values[(names == name) & ~marked]
        if len(mine) and len(other):
            difference = mine[:, None] - other[None, :]
            pairs.append(float(np.mean((difference > 0) + 0.5 * (difference == 0))))
            firsts.append(float(mine.max() > other.max()))
    return (float(np.mean(pairs)), float(np.mean(firsts))) if pairs else (float("nan"), float("nan"))


def _by_chance(gold: np.ndarray, questions: np.ndarray) -> tuple[float, float]:
    shares = [float(np.mean(gold[questions == name])) for name in dict.fromkeys(questions.tolist())]
    both = [share for share in shares if 0 < share < 1]
    return 0.5, float(np.mean(both)) if both else float("nan")


def _centred(scores: np.ndarray, questions: np.ndarray) -> np.ndarray:
    """Scores (x) less the mean of their question's."""
    _, places = np.unique(questions, return_inverse=True)
    return scores - (np.bincount(places, scores) / np.bincount(places))[places]


def how_sure(reader: Mapping[str, Any]) -> str:
    """A sentence on the size of the sample, where the run tells it."""
    count, share = reader.get("questions"), reader["em"]["all"]
    if not count:
        return ""
    points = 196 * (share * (1 - share) / count) ** 0.5
    return f" Over {count:,} questions, the exact match of all is known to about ±{points:.1f} points (95%)."


def _rows(shares: Mapping[str, float | None]) -> list[list[str]]:
    return [[name, percent(share)] for name, share in shares.items()]


def _compared(one: float, other: float) -> str:
    if abs(one - other) < 0.0005:
        return "as many questions as"
    return "more questions than" if one > other else "fewer questions than"


def last_round(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of the round with the highest number."""
    return max(figures["rounds"], key=lambda r: r["number"])
