"""Topics, pairs balanced over margins, and training with two teachers."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import torch

from kit.metrics import answer_hits
from kit.retrieve import BM25
from kit.train import Optimisation, TopicBalanced, train_topic_balanced
from kit.train.topic_batches import balanced_choice, balanced_pairs, in_batch_margin_mse, topics
from kit.types import KitError, Question, ScoreTable


class ByAnswer:
    """A teacher that knows the labels: 4 where a passage holds the answer, 0 else. Keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def score(self, questions, corpus, table, *, progress=False):
        found = table.select([question.id for question in questions])
        self.asked.append(found.values.shape)
        values = np.where(found.mask, 4.0 * answer_hits(found, questions, corpus), np.nan)
        return ScoreTable("by answer", found.question_ids, found.passage_ids, values)


def test_topics_are_the_clusters_that_are_there():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [50, 0], [0, 50]])
    kinds = rng.permutation(np.repeat([0, 1, 2], 20))
    found = topics(centres[kinds] + rng.standard_normal((60, 2)), 3, seed=1)
    assert sorted(row for group in found for row in group) == list(range(60))
    purity = sum(max(Counter(kinds[group]).values()) for group in found)
    assert len(found) <= 3 and purity >= 40
    best = max((topics(centres[kinds] + 0.0, 3, seed=seed) for seed in range(5)), key=len)
    assert sorted(map(tuple, best)) == sorted(tuple(np.flatnonzero(kinds == kind)) for kind in range(3))


def test_each_row_is_with_its_nearest_centre_and_the_seed_decides():
    points = np.random.default_rng(2).standard_normal((80, 5)).astype(np.float32)
    found = topics(points, 6, rounds=100, seed=3)
    centres = np.stack([points[group].mean(0) for group in found])
    for number, group in enumerate(found):
        distances = ((points[group][:, None] - centres) ** 2).sum(-1)
        assert (distances.argmin(1) == number).all()
    assert topics(points, 6, rounds=100, seed=3) == found != topics(points, 6, rounds=100, seed=4)


def test_equal_vectors_are_one_topic():
    assert topics(np.ones((4, 2)), 3) == [[0, 1, 2, 3]]
    with pytest.raises(KitError, match="topics: clusters: wanted 1 to 4, the number of questions, given 5"):
        topics(np.ones((4, 2)), 5)


def test_every_filled_bin_is_equally_likely():
    margins = [0.0, 0.1, 0.2, 0.3, 5.0, 9.9, 10.0]  # bins 0, 5 and 9 of ten
    drawn = Counter(balanced_choice(margins, 10, random.Random(seed)) for seed in range(3000))
    for members in ((0, 1, 2, 3), (4,), (5, 6)):
        assert sum(drawn[m] for m in members) == pytest.approx(1000, abs=120)
    assert balanced_choice([2.0], 10, random.Random(0)) == 0
    assert {balanced_choice([1.0, 1.0], 10, random.Random(seed)) for seed in range(20)} == {0, 1}


def test_the_positive_of_a_pair_is_the_teachers_first():
    table = ScoreTable("t", ["q"], [["a", "b", "c", "d", ""]], [[1.0, 7.0, np.nan, 3.0, np.nan]])
    drawn = set()
    for seed in range(30):
        pairs, scores = balanced_pairs(table, [Question("q", "?")], 10, random.Random(seed))
        assert scores[0].tolist() == [7.0, {"a": 1.0, "d": 3.0}[pairs[0][1]]]
        drawn.add(pairs[0])
    assert drawn == {("b", "a"), ("b", "d")}


def test_in_batch_margins_against_a_slow_loop():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 4, 8, generator=generator).unbind(0)
    halves = []
    for first in (0, 4):
        squares = [
            float((student[i, i] - student[i, first + j]) - (teacher[i, i] - teacher[i, first + j])) ** 2
            for i in range(4)
            for j in range(4)
            if i != j
        ]
        halves.append(np.mean(squares))
    assert float(in_batch_margin_mse(student, teacher)) == pytest.approx(sum(halves) / 2, rel=1e-5)
    shifted = in_batch_margin_mse(student + torch.arange(4.0)[:, None], teacher)
    assert float(shifted) == pytest.approx(sum(halves) / 2, rel=1e-4)
    teacher[0, 3] = torch.nan
    assert in_batch_margin_mse(student, teacher).isfinite()
    assert float(in_batch_margin_mse(torch.ones(1, 2), torch.zeros(1, 2))) == 0.0
    with pytest.raises(KitError, match="in_batch_margin_mse: wanted two tables"):
        in_batch_margin_mse(torch.ones(2, 3), torch.ones(2, 3))


def test_two_teachers_are_learned_from(small_encoder, world, corpus):
    questions = world.questions["train"][:24]
    found = BM25(corpus).retrieve(questions, 8)
    teacher, second = ByAnswer(), ByAnswer()
    table = teacher.score(questions, corpus, found)
    config = TopicBalanced(Optimisation(steps=50, learning_rate=1e-2), questions=5, clusters=3)
    training = train_topic_balanced(small_encoder, questions, corpus, table, second, config, progress=False)
    assert len(teacher.asked) == 1 and len(second.asked) == 50
    assert all(q <= 5 and x <= 2 * q for q, x in second.asked)
    pairs, batch = ([row[name] for row in training.losses] for name in ("pairs", "in-batch"))
    assert np.mean(pairs[-8:]) < 0.7 * np.mean(pairs[:8])
    assert np.mean(batch[-8:]) < 0.7 * np.mean(batch[:8])
    first = training.losses[0]
    assert first["loss"] == pytest.approx(first["pairs"] + 0.75 * first["in-batch"], rel=1e-5)


def test_a_teacher_that_says_nothing_is_refused(small_encoder, world, corpus):
    questions = world.questions["train"][:3]
    found = BM25(corpus).retrieve(questions, 4)
    flat = ScoreTable("flat", found.question_ids, found.passage_ids, np.ones_like(found.values))
    with pytest.raises(KitError, match="score table 'flat': wanted questions with two passages that scores tell apart"):
        train_topic_balanced(small_encoder, questions, corpus, flat, ByAnswer(), TopicBalanced(Optimisation(1)))
