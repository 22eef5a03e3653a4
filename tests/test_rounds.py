"""The loop: what it leaves on disk, that it goes on where it stopped, and that its parts do what they say."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from kit.data import load_examples
from kit.encoder import DualEncoder
from kit.index import VectorIndex
from kit.metrics import answer_recall
from kit.retrieve import BM25, add_random_passages
from kit.rounds import RoundsPlan, run_rounds
from kit.train import Distillation, Optimisation, ReaderTraining
from kit.types import KitError, ScoreTable

PLAN = RoundsPlan(
    reader=ReaderTraining(Optimisation(steps=2), questions=2, n_context=2),
    student=Distillation(Optimisation(steps=2), questions=2, passages=4),
    retrieved=5,
    read=3,
    scored=4,
    drawn=2,
    ks=(1, 5),
)


@pytest.fixture
def sets(world):
    return list(world.questions["train"][:12]), list(world.questions["test"][:8])


def go_round(folder, sets, corpus, reader, encoder, plan=PLAN, **options):
    return run_rounds(folder, *sets, corpus, BM25(corpus), lambda: reader, encoder, plan, progress=False, **options)


def test_each_round_leaves_its_files_and_results(tmp_path, sets, corpus, small_reader, small_encoder):
    lines = []
    rounds = go_round(tmp_path, sets, corpus, small_reader, small_encoder, say=lines.append)
    assert [r.number for r in rounds] == [0, 1, 2] and rounds[0].retriever == "bm25"
    for done in rounds:
        table = ScoreTable.load(done.folder / "test.parquet")
        assert done.recall == answer_recall(table, sets[1], corpus, (1, 5))
        assert json.loads((done.folder / "round.json").read_text())["recall"] == {
            str(k): v for k, v in done.recall.items()
        }
    questions, _, scores = load_examples(tmp_path / "round-1" / "teacher.jsonl")
    assert len(questions) == 12 and scores.values.shape == (12, 6) and np.isfinite(scores.values).all()
    student = DualEncoder.from_pretrained(tmp_path / "round-2" / "retriever")
    assert VectorIndex.load(tmp_path / "round-2" / "index").fingerprint == student.fingerprint
    assert any(line.startswith("round 2 (round-2): R@1") for line in lines)


def test_a_loop_that_was_stopped_goes_on(tmp_path, sets, corpus, small_reader, small_encoder, monkeypatch):
    import kit.rounds as module

    whole = DualEncoder.from_config(small_encoder.question_tower.config, small_encoder.tokenizer)
    results = go_round(tmp_path / "whole", sets, corpus, small_reader, whole)
    monkeypatch.setattr(module, "distil", interrupted_once(module.distil))

    def stopped():
        fresh = type(small_reader)(initial(small_reader), small_reader.tokenizer, max_tokens=96)
        student = DualEncoder.from_config(small_encoder.question_tower.config, small_encoder.tokenizer)
        return go_round(tmp_path / "stopped", sets, corpus, fresh, student)

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert (tmp_path / "stopped" / "round-1" / "teacher.parquet").exists()
    again = stopped()
    assert [r.recall for r in again] == [r.recall for r in results]


def initial(reader):
    from t5_start import initial_t5

    return initial_t5(reader.tokenizer, d_model=32, layers=1)


def interrupted_once(distil):
    calls = []

    def wrapped(*arguments, **options):
        if not calls:
            calls.append(1)
            raise KeyboardInterrupt
        return distil(*arguments, **options)

    return wrapped


def test_a_folder_of_another_plan_or_model_is_refused(tmp_path, sets, corpus, small_reader, small_encoder):
    none = replace(PLAN, rounds=0)
    go_round(tmp_path, sets, corpus, small_reader, small_encoder, none)
    go_round(tmp_path, sets, corpus, small_reader, small_encoder, none)
    with pytest.raises(KitError, match=r"plan\.json: wanted the run .*, with loss kl .*, given loss mse"):
        go_round(tmp_path, sets, corpus, small_reader, small_encoder, replace(none, loss="mse"))
    other = DualEncoder.from_config(small_encoder.question_tower.config, small_encoder.tokenizer, seed=9)
    with pytest.raises(KitError, match=r"with student model [0-9a-f]{16}"):
        go_round(tmp_path, sets, corpus, small_reader, other, none)
    reader = type(small_reader)(initial(small_reader), small_reader.tokenizer, max_tokens=96)
    with torch.no_grad():
        next(reader.parameters()).add_(1.0)
    with pytest.raises(KitError, match=r"with reader model [0-9a-f]{16}"):
        go_round(tmp_path, sets, corpus, reader, small_encoder, none)
    with pytest.raises(KitError, match=r"with retriever BM25 .*, given retriever Other"):
        run_rounds(tmp_path, *sets, corpus, Other(), lambda: small_reader, small_encoder, none, progress=False)
    with pytest.raises(KitError, match=r"with data [0-9a-f]{16}"):
        go_round(tmp_path, (sets[0][:9], sets[1]), corpus, small_reader, small_encoder, none)


class Other:
    """A retriever that need not retrieve."""


def test_drawn_passages_are_new_to_the_question_and_unscored(corpus):
    table = ScoreTable("t", ["q", "r"], [["1", "2"], ["3", ""]], [[1.0, 2.0], [3.0, np.nan]])
    more = add_random_passages(table, corpus, 3, seed=0)
    assert more.values.shape == (2, 5) and np.isnan(more.values[:, 2:]).all()
    for row in more.passage_ids.tolist():
        real = [name for name in row if name]
        assert len(set(real)) == len(real) and all(name in corpus for name in real)
    assert add_random_passages(table, corpus, 3, seed=0).passage_ids.tolist() == more.passage_ids.tolist()
    assert add_random_passages(table, corpus, 0, seed=0) is table
