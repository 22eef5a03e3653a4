"""TAS-B's batches: questions of one topic, pairs of passages over all margins of the teacher, and a second teacher.

The first teacher has scored each question's own passages (a table); the second scores, while training goes on, every
question of a batch with every passage of it. Source: TAS-B (Hofstaetter et al. 2021), section 3, and its released code.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from kit.losses import margin_mse
from kit.optimisation import Optimisation
from kit.train.batches import candidates, tells_apart
from kit.train.fit import RunOptions, TrainingHistory, fit
from kit.train.signatures import model_digest, signature_of
from kit.types import KitError, Passage, Question, ScoreTable

if TYPE_CHECKING:
    from kit.encoder import DualEncoder
    from kit.teachers import Teacher

ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class TopicBalanced:
    """How batches are drawn and weighed: `questions` of one of `clusters` topics, a pair of passages each."""

    optimisation: Optimisation
    questions: int = 32
    clusters: int = 2000
    bins: int = 10  # of equal width, over the margins of a question's pairs
    weight: float = 0.75  # of the second teacher's part of the loss


def topics(
    vectors: Float[np.ndarray, "x d"], count: int, *, rounds: int = 20, seed: int = 0, device: str = "cpu"
) -> list[list[int]]:
    """The rows of each topic: k-means (Lloyd's) of the vectors, from `count` of them drawn with `seed`; no empty topic.

    Each round costs x * count * d multiplications. Ends early when no row changes its topic.

    >>> topics(np.array([[0.0, 1.0], [9.0, 9.0], [0.0, 0.9], [9.0, 8.0]]), 2)
    [[0, 2], [1, 3]]
    """
    if not 1 <= count <= len(vectors):
        raise KitError("topics: clusters", f"1 to {len(vectors)}, the number of questions", count)
    points = torch.as_tensor(np.asarray(vectors, dtype=np.float32), device=device)
    centres = torch.unique(points, dim=0)  # (x, d) at most: two equal centres would share one topic
    centres = centres[torch.randperm(len(centres), generator=torch.Generator().manual_seed(seed))[:count].to(device)]
    nearest = points.new_full((len(points),), -1, dtype=torch.long)
    for _ in range(rounds):
        before, nearest = nearest, _nearest(points, centres)  # (x,)
        if torch.equal(before, nearest):
            break
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)  # (c, d)
        counts = nearest.bincount(minlength=len(centres))[:, None]  # (c, 1)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    rows: dict[int, list[int]] = {}
    for row, topic in enumerate(nearest.tolist()):
        rows.setdefault(topic, []).append(row)
    return list(rows.values())


def _nearest(points: Float[Tensor, "x d"], centres: Float[Tensor, "c d"]) -> Tensor:
    """The nearest centre of each point (x,): the one with the largest p.c - |c|^2 / 2."""
    offsets = centres.square().sum(1) / 2  # (c,)
    return torch.cat([(part @ centres.T - offsets).argmax(1) for part in points.split(ROWS_AT_ONCE)])


def balanced_choice(margins: Sequence[float], bins: int, rng: random.Random) -> int:
    """A position drawn so that every bin of margins, of equal width between the extremes, is equally likely.

    Empty bins are passed over; within a bin all are equally likely. So a few small margins come as often as many large.

    >>> picks = [balanced_choice([0.0, 9.0, 9.1, 9.2, 10.0], 2, random.Random(n)) for n in range(200)]
    >>> 80 < picks.count(0) < 120  # alone in its bin
    True
    """
    low, high = min(margins), max(margins)
    width = (high - low) / bins
    filled: dict[int, list[int]] = {}
    for position, margin in enumerate(margins):
        number = min(bins - 1, int((margin - low) / width)) if width > 0 else 0
        filled.setdefault(number, []).append(position)
    return rng.choice(filled[rng.choice(sorted(filled))])


def in_batch_margin_mse(student: Float[Tensor, "q x"], teacher: Float[Tensor, "q x"]) -> Float[Tensor, ""]:
    """Margin-MSE of each question's positive against all other questions' passages: a scalar.

    x is 2q: column j holds question j's positive, column q + j its negative. The mean of the squared errors of the
    margins (own positive minus another question's positive), half, plus that with another's negative, half. Where the
    teacher is NaN the cell is left out; a batch of one question is worth 0. Source: TAS-B's released training loop.

    >>> student = torch.tensor([[5.0, 1.0, 0.0, 2.0], [0.0, 3.0, 1.0, 0.0]])  # margins 4 and 3; 3 and 2
    >>> in_batch_margin_mse(student, torch.zeros(2, 4))  # (16 + 9) / 2 / 2 + (9 + 4) / 2 / 2
    tensor(9.5000)
    """
    q = len(student)
    if student.shape != (q, 2 * q) or teacher.shape != student.shape:
        raise KitError("in_batch_margin_mse", f"two tables {(q, 2 * q)}", f"{(*student.shape,)}, {(*teacher.shape,)}")
    error = student.float() - teacher.detach().float()  # (q, x)
    error = error.diagonal()[:, None] - error  # (q, x)
    others = ~torch.eye(q, dtype=torch.bool, device=error.device).repeat(1, 2) & ~error.isnan()  # (q, x)
    squares = error.masked_fill(~others, 0.0).square()
    halves = [squares[:, part].sum() / others[:, part].sum().clamp(min=1) for part in (slice(q), slice(q, None))]
    return (halves[0] + halves[1]) / 2


def train_topic_balanced(
    encoder: DualEncoder,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    second: Teacher,
    config: TopicBalanced,
    **run: Unpack[RunOptions],
) -> TrainingHistory:
    """Train `encoder` in place on topic-balanced batches with two teachers; returns the history.

    `table`: the first teacher's scores; a question's positive is the passage that it scores highest, a pair's margin
    how much lower another one is. Topics are those of `encoder`'s vectors before it learns. A topic comes as often as
    it has questions; one with fewer than a batch gives a smaller batch. `second` scores `questions` times (twice
    `questions`) passages at each step: TAS-B's is a ColBERT, a cross-encoder costs as much as all else together. Both
    teachers should use one scale, as the student can follow only one. Each logged step has the two parts of the
    loss, `pairs` and `in-batch`. `run`: see `RunOptions`.
    """
    scored = [question for question in questions if tells_apart(table, question)]
    if not scored:
        raise KitError(f"score table {table.name!r}", "questions with two passages that scores tell apart", "none")
    vectors = encoder.encode_questions([question.text for question in scored], batch_size=256)
    count, device = min(config.clusters, len(scored)), str(encoder.device)
    groups = topics(vectors, count, seed=config.optimisation.seed, device=device)
    sizes = [len(group) for group in groups]

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        group = rng.choices(groups, sizes)[0]
        batch = [scored[row] for row in rng.sample(group, min(config.questions, len(group)))]
        pairs, teacher = balanced_pairs(table, batch, config.bins, rng)
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        columns = torch.tensor([names.index(pair[side]) for side in (0, 1) for pair in pairs])  # (2q,)
        vectors, passages = model([question.text for question in batch], [corpus[name] for name in names])
        with torch.autocast(vectors.device.type, enabled=False):
            student = vectors.float() @ passages.float().T * encoder.scale  # (q, x)
        student = student[:, columns.to(student.device)]  # (q, 2q)
        live = torch.from_numpy(_all_scores(second, batch, corpus, names))[:, columns].to(student)  # (q, 2q)
        own = torch.stack([student.diagonal(), student[:, len(batch) :].diagonal()], dim=1)  # (q, 2)
        pair, batch_wide = margin_mse(own, teacher.to(own)), in_batch_margin_mse(student, live)
        figures = {"pairs": float(pair.detach()), "in-batch": float(batch_wide.detach())}
        return pair + config.weight * batch_wide, figures

    def signature() -> dict[str, object]:
        live = {"second": getattr(second, "name", type(second).__name__)}
        if isinstance(model := getattr(second, "model", None), nn.Module):
            live["second model"] = model_digest(model)
        return signature_of("topic-balanced", config, encoder, scored, corpus, table, **live)

    return fit(encoder, loss_of, config.optimisation, signature=signature, name="training (topic-balanced)", **run)


def balanced_pairs(
    table: ScoreTable, questions: Sequence[Question], bins: int, rng: random.Random
) -> tuple[list[tuple[str, str]], Float[Tensor, "q 2"]]:
    """For each question its highest passage and one drawn evenly over the margins; and their scores (q, 2)."""
    rows, scores = candidates(table, questions, table.values.shape[1], rng)  # highest first
    pairs, values = [], torch.empty(len(questions), 2)
    for number, names in enumerate(rows):
        margins = (scores[number, 0] - scores[number, 1 : len(names)]).tolist()
        chosen = 1 + balanced_choice(margins, bins, rng)
        pairs.append((names[0], names[chosen]))
        values[number] = scores[number, [0, chosen]]
    return pairs, values


def _all_scores(
    teacher: Teacher, questions: Sequence[Question], corpus: Mapping[str, Passage], names: Sequence[str]
) -> Float[np.ndarray, "q x"]:
    """The teacher's scores of every question with every one of these passages."""
    shape = len(questions), len(names)
    grid = ScoreTable("batch", [question.id for question in questions], [list(names)] * shape[0], np.zeros(shape))
    return teacher.score(questions, corpus, grid).aligned_to(grid).values.copy()
