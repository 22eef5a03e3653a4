"""Labels from a table, and DPR's in-batch training on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kit.retrieve import BM25
from kit.train import InBatch, Optimisation, train_in_batch
from kit.train.contrastive import Labelled, false_negatives, labelled
from kit.types import KitError, Passage, Question, ScoreTable

TEXTS = {"rome": "In Rome.", "paris": "In Paris.", "bonn": "In Bonn.", "both": "From Rome to Paris."}
CORPUS = {name: Passage(name, "", text) for name, text in TEXTS.items()}
WHERE = Question("q1", "where?", ("Paris", "Lutetia"))


def test_the_highest_of_each_kind_is_taken_by_score_not_by_place():
    table = ScoreTable("t", ["q1"], [["paris", "bonn", "both", "rome"]], [[1.0, 2.0, 3.0, 4.0]])
    assert labelled([WHERE], CORPUS, table) == [Labelled(WHERE, "both", ("rome",))]
    assert labelled([WHERE], CORPUS, table, negatives=9)[0].negatives == ("rome", "bonn")


def test_questions_that_lack_the_one_or_the_other_are_left_out():
    questions = [WHERE, Question("q2", "?", ("Oslo",)), Question("q3", "?", ("Rome", "Bonn")), Question("q4", "?")]
    ids = [["paris", "rome", ""], ["paris", "rome", ""], ["rome", "bonn", ""], ["rome", "", ""]]
    values = np.where(np.array(ids) == "", np.nan, 1.0)
    table = ScoreTable("t", ["q1", "q2", "q3", "q4"], ids, values)
    assert [item.question.id for item in labelled(questions, CORPUS, table)] == ["q1"]
    assert [item.question.id for item in labelled(questions, CORPUS, table, negatives=0)] == ["q1", "q3"]
    with pytest.raises(KitError, match="score table 't': wanted questions with a passage that holds an answer"):
        labelled(questions[1:3], CORPUS, table)
    with pytest.raises(KitError, match="labelled: wanted questions with answers, given 1 questions, none"):
        labelled(questions[3:], CORPUS, table)


def test_false_negatives_are_counted():
    batch = [Labelled(WHERE, "paris", ("rome",)), Labelled(Question("q2", "?", ("Rome",)), "rome", ("bonn",))]
    # q1: rome no, bonn no, both yes; q2: paris no, bonn no, both yes
    assert false_negatives(batch, list(TEXTS), CORPUS) == 2 / 6


def test_the_loss_is_that_over_the_different_passages_of_the_batch(small_encoder, world, corpus):
    questions = world.questions["train"][:5]
    table = BM25(corpus).retrieve(questions, 8)
    items = labelled(questions, corpus, table)
    config = InBatch(Optimisation(steps=1, learning_rate=0.0), questions=len(items))
    vectors = {
        "asked": small_encoder.encode_questions([item.question.text for item in items]) * small_encoder.scale,
        "found": {
            name: small_encoder.encode_passages([corpus[name]])[0]
            for item in items
            for name in (item.positive, *item.negatives)
        },
    }
    logits = np.stack([[row @ vector for vector in vectors["found"].values()] for row in vectors["asked"]])
    own = [list(vectors["found"]).index(item.positive) for item in items]
    wanted = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(items)), own])
    row = train_in_batch(small_encoder, questions, corpus, table, config, progress=False).losses[0]
    assert row["loss"] == pytest.approx(wanted, abs=1e-4)
    assert row["first"] == pytest.approx(np.mean(logits.argmax(1) == own))


def test_it_is_learned(small_encoder, world, corpus):
    questions = world.questions["train"][:24]
    table = BM25(corpus).retrieve(questions, 8)
    config = InBatch(Optimisation(steps=40, learning_rate=1e-2), questions=8)
    rows = train_in_batch(small_encoder, questions, corpus, table, config, progress=False).losses
    first = [row["first"] for row in rows]
    assert np.mean(first[-5:]) > np.mean(first[:5]) + 0.3


def test_both_towers_of_a_pair_learn(small_encoder, world, corpus):
    from kit.recipes import student_of

    student = student_of("dpr", small_encoder)
    before = [tower.embeddings.word_embeddings.weight.clone() for tower in student.towers]
    questions = world.questions["train"][:6]
    table = BM25(corpus).retrieve(questions, 6)
    config = InBatch(Optimisation(steps=2, learning_rate=1e-2), questions=4)
    train_in_batch(student, questions, corpus, table, config, progress=False)
    after = [tower.embeddings.word_embeddings.weight for tower in student.towers]
    assert len(after) == 2 and not any(map(torch.equal, before, after)) and not torch.equal(*after)


def test_batches_give_the_encoders_own_vectors_in_their_order(small_encoder, world, corpus):
    questions, passages = world.questions["train"][:2], list(corpus.values())[:40]  # more than one part
    with torch.no_grad():
        vectors, rows = small_encoder([question.text for question in questions], passages)
    np.testing.assert_allclose(rows, small_encoder.encode_passages(passages), rtol=1e-4, atol=1e-5)
    wanted = small_encoder.encode_questions([question.text for question in questions])
    np.testing.assert_allclose(vectors, wanted, rtol=1e-4, atol=1e-5)
