"""The toy's cross-encoder and extractive reader: they learn, and are written as the released ones are."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from pair_teachers import KINDS, PairTraining, _spans, pair_batch, save_pair_teacher, train_pair_teacher

from kit.retrieve import BM25
from kit.teachers import load_teacher
from kit.train import Optimisation
from kit.train.contrastive import Labelled, labelled
from kit.types import KitError, Passage, Question


@pytest.fixture(scope="module")
def questions(world):
    return world.questions["train"][:12]


@pytest.fixture(scope="module")
def table(corpus, questions):
    return BM25(corpus).retrieve(questions, 6)


@pytest.mark.parametrize("name", KINDS)
def test_it_learns_and_is_loaded_as_the_released_ones_are(name, small_encoder, questions, corpus, table, tmp_path):
    config = PairTraining(Optimisation(steps=40, learning_rate=1e-2), questions=6, negatives=3, others=1)
    before = {key: weight.clone() for key, weight in small_encoder.state_dict().items()}
    teacher = train_pair_teacher(
        name, small_encoder, questions, corpus, table, config, folder=tmp_path / "run", progress=False
    )
    rows = json.loads((tmp_path / "run" / "training.json").read_text())["losses"]
    assert np.mean([row["first"] for row in rows[-6:]]) > np.mean([row["first"] for row in rows[:6]]) + 0.2
    assert all(bool((weight == before[key]).all()) for key, weight in small_encoder.state_dict().items())
    save_pair_teacher(teacher, tmp_path / "teacher")
    loaded = load_teacher(name, tmp_path / "teacher", device="cpu")
    trained, read = (each.score(questions, corpus, table).values for each in (teacher, loaded))
    assert np.isfinite(trained).all()
    np.testing.assert_allclose(read, trained, rtol=1e-5, atol=1e-6)


def test_spans_are_the_answers_tokens(small_encoder):
    passage = Passage("1", "France", "The capital, PARIS, is not Parisian; see paris or New York.")
    question = Question("q", "which capital?", ("Paris", "New York"))
    reader = KINDS["extractive_reader"][0](small_encoder, seed=0)
    tokens = reader.inputs([(question, passage)])[0]
    spans = _spans(tokens, passage.text, Labelled(question, "1", ()))
    texts = [reader.tokenizer.decode(tokens.ids[first : last + 1]) for first, last in spans]
    assert [text.replace(" ##", "").replace("##", "") for text in texts] == ["paris", "paris", "new york"]


def test_a_batch_has_hard_passages_and_other_questions_ones(world, corpus, questions, table):
    items = labelled(questions, corpus, table, negatives=6)
    config = PairTraining(Optimisation(steps=1), questions=4, negatives=3, others=2)
    batch, passages, real = pair_batch(items, corpus, config, 0, random.Random(0))
    assert real.shape == (4, 4) and real.all()
    for item, row in zip(batch, passages, strict=True):
        ids = [passage.id for passage in row]
        assert ids[0] == item.positive and ids[1] in item.negatives
        assert set(ids[2:]) <= {other.positive for other in batch} - {item.positive}
    with pytest.raises(KitError, match="PairTraining, others: wanted from 0 to its 1 negatives, given 2"):
        PairTraining(Optimisation(steps=1), negatives=1)
