"""The course's ground at both scales, and what a checker says."""

from __future__ import annotations

import pytest

from kit.course import load_course
from kit.course.load import checkpoint
from kit.data import save_examples, save_passages, save_questions
from kit.types import KitError, Passage, Question, ScoreTable

PASSAGES = [Passage("1", "France", "Paris is the capital."), Passage("2", "Italy", "Rome is the capital.")]
QUESTION = Question("q", "What is the capital of Italy?", ("Rome",))


@pytest.fixture
def full(tmp_path):
    """A folder as `load_course("full")` wants it, with two passages for Wikipedia."""
    save_passages(tmp_path / "psgs_w100.tsv", PASSAGES)
    save_questions(tmp_path / "train.json", [QUESTION])
    table = ScoreTable("dpr", ["q"], [["1", "2"]], [[2.0, 1.0]])
    for split in ("dev", "test"):
        save_examples(tmp_path / f"{split}.json", [QUESTION], {p.id: p for p in PASSAGES}, table)
    for name in ("nq_reader_base", "nq_retriever"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_toy_has_gold_passages_that_state_the_answer():
    toy = load_course()
    question = toy.test[0]
    assert toy.gold[question.id]
    assert all(question.answers[0] in toy.corpus[name].text for name in toy.gold[question.id])
    assert toy.device == "cpu" and toy.world is not None


def test_the_toys_seed_makes_the_world():
    small = load_course(generated=0)
    assert list(load_course(seed=1, generated=0).corpus.values())[:20] != list(small.corpus.values())[:20]
    assert len(small.corpus) < len(load_course(generated=10).corpus)


def test_models_are_loaded_once_and_anew_on_request():
    toy = load_course()
    assert toy.encoder is toy.encoder
    assert toy.new_encoder() is not toy.encoder
    assert str(toy.encoder.device) == "cpu"


def test_the_full_scale_takes_files(full):
    g = load_course("full", folder=full)
    assert (len(g.corpus), len(g.train), len(g.dev), len(g.test)) == (2, 1, 1, 1)
    assert g.gold == {"q": {"2"}}
    assert g.bm25.retrieve([QUESTION], k=1).passage_ids.tolist() == [["2"]]
    assert (g.reader_source, g.device) == (full / "nq_reader_base", "auto")


def test_gold_passages_of_questions_alone_are_an_error_that_says_how_to_get_some(full):
    (full / "test.json").unlink()
    save_questions(full / "test.jsonl", [QUESTION])
    g = load_course("full", folder=full)
    with pytest.raises(KitError, match=r"wanted questions with passages.*kit retriever search .*test\.jsonl --bm25"):
        _ = g.gold


def test_bm25_of_the_full_scale_is_loaded_where_it_was_saved(full):
    load_course("full", folder=full).bm25.save(full / "bm25")
    assert len(load_course("full", folder=full).bm25) == 2


@pytest.mark.parametrize("name", ["psgs_w100.tsv", "train.json", "dev.json", "test.json"])
def test_a_missing_file_is_named(full, name):
    (full / name).unlink()
    data = "wikipedia" if name.endswith(".tsv") else "nq"
    with pytest.raises(KitError, match=f"{name}: wanted a file of .*run `kit data download {data} --out {full}`"):
        load_course("full", folder=full)


def test_a_given_file_is_taken_and_its_absence_named(full, tmp_path):
    save_questions(tmp_path / "mine.jsonl", [QUESTION, Question("r", "Who?")])
    assert len(load_course("full", folder=full, train=tmp_path / "mine.jsonl").train) == 2
    with pytest.raises(KitError, match=r"nothing\.jsonl: wanted a file of questions, given"):
        load_course("full", folder=full, train=tmp_path / "nothing.jsonl")


def test_a_missing_checkpoint_is_not_downloaded(full, empty_cache):
    (full / "nq_retriever").rmdir()
    with pytest.raises(KitError, match="run `kit data download nq_retriever`"):
        load_course("full", folder=full)


def test_checkpoints_are_found_in_the_cache(empty_cache):
    (empty_cache / "nq_reader_base").mkdir(parents=True)
    assert checkpoint("nq_reader_base") == empty_cache / "nq_reader_base"
    assert checkpoint("google-bert/bert-base-uncased") == "google-bert/bert-base-uncased"


def test_an_unknown_scale_is_named():
    with pytest.raises(KitError, match="scale: wanted 'toy' or 'full', given 'huge'"):
        load_course("huge")
