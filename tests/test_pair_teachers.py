"""The toy's cross-encoder and extractive reader: they learn, and are written as the released ones are."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from pair_teachers import (
    PairTraining,
    _spans,
    save_cross_encoder,
    save_extractive_reader,
    train_cross_encoder,
    train_extractive_reader,
)

from kit.retrieve import BM25
from kit.teachers import load_teacher
from kit.train import Optimisation
from kit.train.contrastive import Labelled
from kit.types import KitError, Passage, Question

KINDS = {
    "cross_encoder": (train_cross_encoder, save_cross_encoder),
    "extractive_reader": (train_extractive_reader, save_extractive_reader),
}


@pytest.fixture(scope="module")
def asked(world):
    return world.questions["train"][:12]


@pytest.fixture(scope="module")
def table(corpus, asked):
    return BM25(corpus).retrieve(asked, 6)


@pytest.mark.parametrize("name", KINDS)
def test_it_learns_and_is_loaded_as_the_released_ones_are(name, small_encoder, asked, corpus, table, tmp_path):
    learn, save = KINDS[name]
    config = PairTraining(Optimisation(steps=60, learning_rate=5e-3), questions=6, negatives=3, others=1)
    before = {key: weight.clone() for key, weight in small_encoder.state_dict().items()}
    teacher = learn(small_encoder, asked, corpus, table, config, folder=tmp_path / "run", progress=False)
    rows = json.loads((tmp_path / "run" / "training.json").read_text())["losses"]
    assert np.mean([row["first"] for row in rows[-6:]]) > np.mean([row["first"] for row in rows[:6]]) + 0.2
    assert all(bool((weight == before[key]).all()) for key, weight in small_encoder.state_dict().items())
    save(teacher, tmp_path / "teacher")
    loaded = load_teacher(name, tmp_path / "teacher", device="cpu")
    wanted, given = (t.score(asked, corpus, table).values for t in (teacher, loaded))
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-6)


def test_spans_are_the_answers_tokens(small_encoder, asked, corpus, table):
    passage = Passage("1", "France", "The capital, PARIS, is not Parisian; see paris or New York.")
    question = Question("q", "which capital?", ("Paris", "New York"))
    reader = train_extractive_reader(small_encoder, asked, corpus, table, PairTraining(Optimisation(1)), progress=False)
    given = reader.inputs([(question, passage)])[0]
    spans = _spans(given, passage.text, Labelled(question, "1", ()))
    said = [reader.tokenizer.decode(given.ids[first : last + 1]) for first, last in spans]
    assert [text.replace(" ##", "").replace("##", "") for text in said] == ["paris", "paris", "new york"]


def test_a_batch_has_hard_passages_and_other_questions_ones(world, corpus, asked, table):
    from pair_teachers import _batch

    from kit.train.contrastive import labelled

    items = labelled(asked, corpus, table, negatives=6)
    config = PairTraining(Optimisation(steps=1), questions=4, negatives=3, others=2)
    batch, passages, real = _batch(items, corpus, config, 0, random.Random(0))
    assert real.shape == (4, 4) and real.all()
    for item, row in zip(batch, passages, strict=True):
        ids = [passage.id for passage in row]
        assert ids[0] == item.positive and ids[1] in item.negatives
        assert set(ids[2:]) <= {other.positive for other in batch} - {item.positive}
    with pytest.raises(KitError, match="PairTraining, others: wanted from 0 to its 1 negatives, given 2"):
        PairTraining(Optimisation(steps=1), negatives=1)
