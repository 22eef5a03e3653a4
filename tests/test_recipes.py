"""Recipes: what they name, what they refuse, and that each trains."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.metrics import answer_hits
from kit.recipes import RECIPES, Recipe, marginal_likelihood, named_recipe, student_of, train_recipe
from kit.retrieve import BM25
from kit.train import Distillation, InBatch, Optimisation, TopicBalanced
from kit.types import KitError, ScoreTable

SMALL = {
    "listwise": Distillation(Optimisation(steps=50, learning_rate=1e-2), questions=6, passages=6),
    "pairs": Distillation(Optimisation(steps=50, learning_rate=1e-2), questions=16, passages=2),
    "in-batch": InBatch(Optimisation(steps=50, learning_rate=1e-2), questions=8),
    "topic-balanced": TopicBalanced(Optimisation(steps=50, learning_rate=1e-2), questions=6, clusters=2),
}


class ByAnswer:
    """A teacher that knows the labels: 0 where a passage holds the answer, -4 else: log-likelihoods too."""

    def score(self, questions, corpus, table, *, progress=False):
        found = table.select([question.id for question in questions])
        values = np.where(found.mask, 4.0 * answer_hits(found, questions, corpus) - 4.0, np.nan)
        return ScoreTable("by answer", found.question_ids, found.passage_ids, values)


@pytest.fixture(scope="module")
def asked(world, corpus):
    """Questions whose BM25 passages hold the answer, and some that do not."""
    questions = world.questions["train"][:60]
    hits = answer_hits(BM25(corpus).retrieve(questions, 6), questions, corpus)
    return [question for question, row in zip(questions, hits, strict=True) if 0 < row.sum() < 6][:16]


@pytest.fixture(scope="module")
def table(corpus, asked):
    return BM25(corpus).retrieve(asked, 6)


def gap(encoder, asked, corpus, table):
    """How much higher, on average, the student scores passages with the answer than those without."""
    hits = answer_hits(table, asked, corpus)
    vectors = encoder.encode_questions([question.text for question in asked])
    found = encoder.encode_passages([corpus[i] for i in table.passage_ids.ravel().tolist()])
    scores = np.einsum("qd,qkd->qk", vectors, found.reshape(*table.values.shape, -1)) * encoder.scale
    scores -= scores.mean(1, keepdims=True)
    return float(scores[hits].mean() - scores[~hits].mean())


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains(name, small_encoder, asked, corpus, table):
    recipe = RECIPES[name]
    options = SMALL[recipe.batches]
    if recipe.batches == "listwise":
        options = replace(options, loss_options=recipe.toy.loss_options)
    recipe = replace(recipe, toy=options)
    student = student_of(recipe, small_encoder)
    teacher = None if recipe.batches == "in-batch" else ByAnswer()
    before = gap(student, asked, corpus, table)
    training = train_recipe(recipe, student, asked, corpus, table, teacher, seed=3, progress=False)
    assert len(training.losses) == 50 and all(math.isfinite(row["loss"]) for row in training.losses)
    assert gap(student, asked, corpus, table) > before + 0.5


def test_recipes_are_named_as_they_are_called():
    names = "fid-kd rdr margin-mse dpr tas-b atlas-pdist atlas-loop atlas-adist atlas-emdr2".split()
    assert list(RECIPES) == names and all(RECIPES[name].name == name for name in names)


def test_published_figures():
    fid, dpr, pair, tas = (RECIPES[name].full for name in ("fid-kd", "dpr", "margin-mse", "tas-b"))
    atlas = RECIPES["atlas-pdist"].full
    assert (fid.optimisation.learning_rate, fid.optimisation.steps, fid.passages) == (1e-4, 20_000, 100)
    assert (dpr.questions, dpr.negatives, dpr.optimisation.learning_rate, dpr.optimisation.max_grad_norm) == (
        128,
        1,
        2e-5,
        2.0,
    )
    assert dpr.optimisation.steps == 40 * 58_880 // 128
    assert (pair.questions, pair.passages, pair.optimisation.learning_rate) == (32, 2, 7e-6)
    assert (tas.questions, tas.clusters, tas.bins, tas.weight) == (32, 2000, 10, 0.75)
    assert (atlas.passages, atlas.questions * atlas.optimisation.accumulate, atlas.optimisation.learning_rate) == (
        40,
        64,
        4e-5,
    )
    # softmax(q.p / (sqrt(768) 0.01)), as Contriever's scores are plain q.p
    assert atlas.loss_options["temperature"] == pytest.approx(0.27713, abs=1e-5)


def test_teacher_and_loss_are_separate_choices(small_encoder, asked, corpus, table):
    mixed = replace(RECIPES["fid-kd"], teacher="loop", loss="ranknet", toy=SMALL["listwise"])
    training = train_recipe(mixed, small_encoder, asked, corpus, table, ByAnswer(), steps=2, progress=False)
    assert len(training.losses) == 2


def test_the_options_of_every_loss_count(small_encoder, asked, corpus, table):
    losses = []
    for temperature in (1.0, 50.0):
        small = replace(SMALL["listwise"], loss_options={"temperature": temperature})
        recipe = replace(RECIPES["atlas-emdr2"], toy=small)
        student = student_of(recipe, small_encoder)
        row = train_recipe(recipe, student, asked, corpus, table, ByAnswer(), steps=1, progress=False).losses[0]
        losses.append(row["loss"])
    assert losses[0] != pytest.approx(losses[1], abs=1e-6)


def test_a_table_of_scores_serves_as_the_teacher(small_encoder, asked, corpus, table):
    scores = ByAnswer().score(asked, corpus, table)
    recipe = replace(RECIPES["rdr"], toy=SMALL["listwise"])
    one, two = student_of(recipe, small_encoder), student_of(recipe, small_encoder)
    given = train_recipe(recipe, one, asked, corpus, scores, steps=2, progress=False)
    asked_for = train_recipe(recipe, two, asked, corpus, table, ByAnswer(), steps=2, progress=False)
    assert given.losses == asked_for.losses


def test_what_does_not_go_together_is_refused():
    fid = RECIPES["fid-kd"]
    wrong = {
        r"loss: wanted one of kl, .* given 'in_batch_nll'": {"loss": "in_batch_nll"},
        r"loss: wanted one of in_batch_nll": {"batches": "in-batch", "teacher": "labels"},
        r"batches: wanted one of listwise": {"batches": "random"},
        r"teacher: wanted one of fid_kd": {"teacher": "oracle"},
        r"wanted batches 'in-batch' with teacher 'labels' and only then": {"teacher": "labels"},
        r"wanted a TopicBalanced for topic-balanced batches": {"batches": "topic-balanced", "loss": "margin_mse"},
        r"family: wanted one of fid-kd": {"family": "colbert"},
    }
    for message, change in wrong.items():
        with pytest.raises(KitError, match=message):
            replace(fid, **change)


def test_what_is_missing_or_too_much_is_said(small_encoder, asked, corpus, table):
    with pytest.raises(KitError, match=r"recipe: wanted one of fid-kd, .* given 'fidkd'"):
        train_recipe("fidkd", small_encoder, asked, corpus, table)
    with pytest.raises(KitError, match="recipe 'dpr': wanted no teacher: it learns from labels, given ByAnswer"):
        train_recipe("dpr", small_encoder, asked, corpus, table, ByAnswer())
    with pytest.raises(KitError, match="recipe 'tas-b': wanted a second teacher"):
        train_recipe("tas-b", small_encoder, asked, corpus, table)
    with pytest.raises(KitError, match="scale: wanted one of toy, full, given 'huge'"):
        train_recipe("fid-kd", small_encoder, asked, corpus, table, scale="huge")


def test_steps_and_seed_are_changed_and_the_warm_up_with_them():
    small = Distillation(Optimisation(steps=200, learning_rate=1e-3, warmup_steps=20))
    config = replace(RECIPES["rdr"], toy=small).config("toy", steps=50, seed=7)
    assert config == replace(small, optimisation=Optimisation(steps=50, learning_rate=1e-3, warmup_steps=5, seed=7))
    assert RECIPES["tas-b"].config("full") == RECIPES["tas-b"].full


def test_a_toy_student_begins_with_the_vectors_of_its_start(small_encoder, corpus):
    passages = list(corpus.values())[:3]
    for name in ("fid-kd", "dpr"):
        student = student_of(name, small_encoder)
        assert len(student.towers) == {"fid-kd": 1, "dpr": 2}[name]
        np.testing.assert_array_equal(student.encode_passages(passages), small_encoder.encode_passages(passages))
        np.testing.assert_array_equal(student.encode_questions(["who?"]), small_encoder.encode_questions(["who?"]))
        with torch.no_grad():
            student.question_tower.embeddings.word_embeddings.weight.zero_()
    assert small_encoder.question_tower.embeddings.word_embeddings.weight.any()


def test_a_published_student_is_of_the_recipes_family(small_encoder, tmp_path):
    from kit.encoder import DualEncoder

    student = student_of("rdr", small_encoder, "full")
    assert student.family.name == "dpr" and student.passage_tower is not None and student.scale == 1.0
    student.save_pretrained(tmp_path / "rdr")
    assert DualEncoder.from_pretrained(tmp_path / "rdr").fingerprint == student.fingerprint
    assert student_of("margin-mse", small_encoder, "full").family.pooling == "cls"


def test_marginal_likelihood_against_a_slow_loop():
    student = torch.tensor([[0.3, -1.0, 2.0], [1.0, 0.0, 0.0], [5.0, 5.0, 5.0]], requires_grad=True)
    teacher = torch.tensor([[-1.0, -2.0, -9.0], [-0.5, -3.0, math.nan], [math.nan] * 3])
    mask = torch.tensor([[True, True, True], [True, True, True], [False] * 3])
    rows = []
    for s, t, count in ((student[0], teacher[0], 3), (student[1], teacher[1], 2)):
        weights = [math.exp(x) for x in s[:count].tolist()]
        likelihood = sum(w * math.exp(x) for w, x in zip(weights, t[:count].tolist(), strict=True)) / sum(weights)
        rows.append(-math.log(likelihood))
    loss = marginal_likelihood(student, teacher, mask)
    assert float(loss.detach()) == pytest.approx(np.mean(rows), rel=1e-5)
    loss.backward()
    assert student.grad[0].argmin() == 0 and student.grad[0, 2] > 0  # towards the likely passage, away from the others
    assert student.grad[1, 2] == 0 and not student.grad[2].any()


def test_the_page_lists_the_recipes_as_they_are():
    from recipes_table import RECIPES_MARK, TOY_MARK, recipes_markdown

    page = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert f"<!-- {RECIPES_MARK} -->\n{recipes_markdown()}\n<!-- end of {RECIPES_MARK} -->" in page
    assert f"<!-- {TOY_MARK} -->\n" in page and f"<!-- end of {TOY_MARK} -->" in page


def test_a_recipe_is_itself_or_its_name():
    assert isinstance(named_recipe("rdr"), Recipe) and named_recipe(RECIPES["rdr"]) is RECIPES["rdr"]
