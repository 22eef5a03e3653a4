"""The whole loop on a small plan: every figure is there, and can be computed again from the files that it leaves."""

from __future__ import annotations

import json

import numpy as np
import pandas
import pytest

from kit.data import load_passages, load_questions
from kit.metrics import answer_recall, exact_match
from kit.quickstart import run_quickstart
from kit.quickstart.run import gold_on_top
from kit.rounds import Plan
from kit.train import Distillation, Optimisation, ReaderTraining
from kit.types import ScoreTable

PLAN = Plan(
    reader=ReaderTraining(Optimisation(steps=2, rate=1e-5), questions=2, n_context=2),
    student=Distillation(Optimisation(steps=2, rate=1e-5), questions=2, passages=4),
    score_questions=20,
    read_questions=60,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory, world):
    folder = tmp_path_factory.mktemp("quickstart")
    return folder, run_quickstart(folder, plan=PLAN, world=world, say=lambda line: None, progress=False)


def test_the_figures_can_be_computed_again_from_the_files(run, world):
    folder, figures = run
    corpus, test = load_passages(folder / "passages.tsv"), load_questions(folder / "questions.test.jsonl")
    for number, recall in enumerate([figures["bm25"]["recall"], *(r["recall"] for r in figures["rounds"])]):
        table = ScoreTable.load(folder / f"round-{number}" / "test.parquet")
        assert answer_recall(table, test, corpus, (1, 5, 20)) == {int(k): value for k, value in recall.items()}
    answers = json.loads((folder / "round-0" / "test.answers.json").read_text())
    hits = [exact_match(answers[q.id], q.answers) for q in test if q.id in answers]
    assert len(hits) == 60 and figures["reader"]["em"]["all"] == pytest.approx(np.mean(hits))
    scores = ScoreTable.load(folder / "round-0" / "test.scores.parquet")
    assert figures["attention"]["gold_top1"] == gold_on_top(scores, world)
    assert figures["evidence"].keys() == {"all", "attention", "bm25", "random"}
    assert figures == json.loads((folder / "figures.json").read_text())


def test_kinds_of_questions_add_up(run):
    em = run[1]["reader"]["em"]
    assert em.keys() >= {"all", "one fact", "several facts", "right entity only", "with look-alikes", "counterfactual"}
    assert min(em["one fact"], em["several facts"]) <= em["all"] <= max(em["one fact"], em["several facts"])


def test_the_shipped_reader_reads_and_does_not_remember(run):
    """Two steps at a tiny rate: this is the T5 as it ships."""
    reader = run[1]["reader"]
    assert reader["em"]["counterfactual"] > 0.5 and reader["em_closed_book"] < 0.1


def test_the_story_and_distributions_hold_together(run, world):
    folder, _ = run
    story = json.loads((folder / "story.json").read_text())
    for passage in story["passages"]:
        assert len(passage["tokens"]) == len(passage["probabilities"]) == len(passage["logits"])
        assert passage["attention"] == pytest.approx(np.mean(passage["logits"]), abs=1e-3)
    assert sum(sum(passage["probabilities"]) for passage in story["passages"]) == pytest.approx(1, abs=1e-3)
    frame = pandas.read_parquet(folder / "distributions.parquet")
    first = frame.iloc[0]
    assert first.gold == (first.passage_id in world.gold[first.question_id])
    assert frame[["teacher", "before", "after"]].notna().all().all()


def test_a_finished_folder_is_begun_anew(run, world):
    folder, figures = run
    marker = folder / "left-over.txt"
    marker.write_text("old")
    again = run_quickstart(folder, plan=PLAN, world=world, say=lambda line: None, progress=False)
    assert not marker.exists() and again["rounds"] == figures["rounds"]
