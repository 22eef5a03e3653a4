"""Training readers and distilling retrievers, on the smallest models of the real kinds."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from kit.losses import LOSSES
from kit.retrieve import BM25
from kit.teachers import EncoderScores
from kit.train import DISTILLATION, READER_TRAINING, Distillation, Optimisation, ReaderTraining, distil, train_reader
from kit.train.batches import Stream, candidates
from kit.types import KitError, Question, ScoreTable


@pytest.fixture(scope="module")
def asked(world):
    return world.questions["train"][:24]


@pytest.fixture(scope="module")
def table(corpus, asked):
    return BM25(corpus).retrieve(asked, 6)


def test_a_reader_learns_the_answers_it_is_shown(small_reader, asked, corpus, table):
    config = ReaderTraining(
        Optimisation(steps=30, learning_rate=3e-3, embedding_lr_multiplier=8), questions=8, n_context=2
    )
    losses = [
        row["loss"] for row in train_reader(small_reader, asked[:8], corpus, table, config, progress=False).losses
    ]
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:3])


def test_training_a_reader_stops_and_goes_on_to_the_same_weights(small_reader, asked, corpus, table, tmp_path):
    from t5_start import initial_t5

    from kit.reader import FiDReader

    config = ReaderTraining(Optimisation(steps=6, learning_rate=1e-3, save_every=2), questions=2, n_context=2)
    train_reader(small_reader, asked, corpus, table, config, progress=False)
    tokenizer = small_reader.tokenizer
    stopped = FiDReader(initial_t5(tokenizer, d_model=32, layers=1), tokenizer, max_tokens=96)

    def stop(training):
        if len(training.losses) == 5:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        train_reader(stopped, asked, corpus, table, config, folder=tmp_path, callback=stop, progress=False)
    fresh = FiDReader(initial_t5(tokenizer, d_model=32, layers=1), tokenizer, max_tokens=96)
    train_reader(fresh, asked, corpus, table, config, folder=tmp_path, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), small_reader.parameters(), strict=True))


def test_the_target_is_said_where_there_is_one_else_an_answer(small_reader, corpus, table, asked):
    said = []
    tokenize = small_reader.tokenize_targets
    small_reader.tokenize_targets = lambda texts, **options: said.extend(texts) or tokenize(texts, **options)
    questions = [
        Question(asked[0].id, asked[0].text, ("a", "b")),
        Question(asked[1].id, asked[1].text, ("c",), target="d"),
        Question(asked[2].id, asked[2].text),
    ]
    config = ReaderTraining(Optimisation(steps=8), questions=2, n_context=1)
    train_reader(small_reader, questions, corpus, table, config, progress=False)
    assert set(said) == {"a", "b", "d"}


def test_questions_without_answers_cannot_be_learned(small_reader, corpus, table, asked):
    with pytest.raises(KitError, match="train_reader: wanted questions with answers"):
        train_reader(small_reader, [Question(asked[0].id, "who?")], corpus, table, progress=False)


@pytest.mark.parametrize("loss", ["kl", "margin_mse", "mse", "max_margin", "ranknet", "listnet"])
def test_a_student_comes_to_agree_with_its_teacher(loss, small_encoder, asked, corpus, table):
    rng = np.random.default_rng(0)
    teacher = ScoreTable("teacher", table.question_ids, table.passage_ids, 3 * rng.standard_normal(table.values.shape))
    config = Distillation(
        Optimisation(steps=25, learning_rate=1e-2, embedding_lr_multiplier=3), questions=12, passages=6
    )
    rows = distil(small_encoder, asked[:12], corpus, teacher, loss, config, progress=False).losses
    assert rows[0]["agreement"] < 0.6 and np.mean([row["agreement"] for row in rows[-5:]]) > 0.75


def test_a_teacher_that_says_nothing_is_refused(small_encoder, asked, corpus, table):
    flat = ScoreTable("flat", table.question_ids, table.passage_ids, np.ones_like(table.values))
    with pytest.raises(KitError, match="score table 'flat': wanted scores that tell passages apart"):
        distil(small_encoder, asked, corpus, flat, progress=False)


def test_names_are_checked(small_encoder, asked, corpus, table):
    with pytest.raises(KitError, match=r"loss: wanted one of kl, .* given 'klll'"):
        distil(small_encoder, asked, corpus, table, "klll", progress=False)
    with pytest.raises(KitError, match="reader training: wanted one of toy, full, full-large, given 'huge'"):
        train_reader(None, asked, corpus, table, "huge")


def test_the_loss_is_that_of_single_passages(small_encoder, asked, corpus):
    names = list(corpus)[:4]
    table = ScoreTable(
        "t", [q.id for q in asked[:2]], [names[:3], [names[3], names[0], ""]], [[3, 1, 2], [1, 2, np.nan]]
    )
    config = Distillation(Optimisation(steps=1, learning_rate=0.0), questions=2, passages=3)
    rows = distil(small_encoder, asked[:2], corpus, table, "kl", config, progress=False).losses
    student = EncoderScores(small_encoder).score(asked[:2], corpus, table)
    wanted = LOSSES["kl"](*(torch.tensor(t.values) for t in (student, table)), torch.tensor(table.mask))
    assert rows[0]["loss"] == pytest.approx(wanted.item(), rel=1e-4)


def test_candidates_keep_the_best_and_leave_out_what_has_no_score():
    table = ScoreTable("t", ["q"], [["a", "b", "c", "d", ""]], [[1.0, 4.0, np.nan, -np.inf, np.nan]])
    question = [Question("q", "?")]
    ids, values = candidates(table, question, 3, random.Random(0))
    assert ids == [["b", "a"]] and values[0, :2].tolist() == [4.0, 1.0] and values[0, 2].isnan()
    draws = {tuple(candidates(table, question, 1, random.Random(seed))[0][0]) for seed in range(9)}
    assert draws == {("b",)}


def test_draw_goes_through_everything_before_it_repeats():
    items = list(range(7))
    stream = [item for number in range(7) for item in Stream(items, 3, seed=1).batch(number)]
    assert all(sorted(stream[start : start + 7]) == items for start in (0, 7, 14))
    assert stream[:7] != stream[7:14]


def test_an_option_that_the_loss_does_not_have_is_an_error(small_encoder, asked, corpus, table):
    config = Distillation(Optimisation(steps=1), questions=2, passages=2, loss_options={"temprature": 2.0})
    with pytest.raises(KitError, match=r"options of this loss \(temperature, .*\), given 'temprature'"):
        distil(small_encoder, asked, corpus, table, "kl", config, progress=False)
    config = replace(config, loss_options={"temperature": 2.0})
    with pytest.raises(KitError, match=r"options of this loss \(none\), given 'temperature'"):
        distil(small_encoder, asked, corpus, table, "mse", config, progress=False)
    assert config.for_loss("mse").loss_options == {} and config.for_loss("kl") == config


def test_presets_are_the_papers():
    base, large, student = READER_TRAINING["full"], READER_TRAINING["full-large"], DISTILLATION["full"]
    assert (base.optimisation.steps, base.optimisation.learning_rate, base.n_context) == (10_000, 1e-4, 100)
    assert (large.optimisation.steps, large.optimisation.learning_rate, large.optimisation.warmup_steps) == (
        15_000,
        5e-5,
        1000,
    )
    assert (student.optimisation.steps, student.optimisation.weight_decay, student.passages) == (20_000, 0.1, 100)
