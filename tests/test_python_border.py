"""Whatever comes in at a public entry of data, retrieval, index and metrics: an answer, or one KitError line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kit
from kit.metrics import (
    answer_hits,
    answer_ranks,
    answer_recall,
    average_precision,
    cover_depth,
    exact_match,
    exact_match_rate,
    f1,
    has_answer,
    inversions,
    judged,
    ndcg,
    normalize_answer,
    recall,
    reciprocal_rank,
    top_overlap,
)  # fmt: skip
from kit.retrieve import add_random_passages
from kit.types import KitError, Passage, Question, ScoreTable

CORPUS = {name: Passage(name, "t", f"text of {name}") for name in "abc"}
QUESTIONS = [Question("q", "text of a", ("a",))]
TABLE = ScoreTable("t", ["q"], [["a", "b"]], [[1.0, 2.0]])
BM25 = kit.BM25(CORPUS)
INDEX = kit.build_index(["a", "b"], np.eye(2))
JUDGED = {"q": {"a": 1}}

simple = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.just(10**30), st.floats(), st.text(max_size=4), st.just(b"x")
)  # fmt: skip
ANYTHING = st.one_of(
    simple, st.lists(simple, max_size=3), st.lists(st.lists(simple, max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), simple, max_size=2), st.sampled_from([QUESTIONS[0], QUESTIONS, CORPUS, TABLE]),
)  # fmt: skip

ENTRIES = {
    "BM25": lambda x: kit.BM25(x),
    "BM25 k1": lambda x: kit.BM25(CORPUS, k1=x),
    "BM25 stem": lambda x: kit.BM25(CORPUS, stem=x),
    "BM25.retrieve questions": lambda x: BM25.retrieve(x, 2),
    "BM25.retrieve k": lambda x: BM25.retrieve(QUESTIONS, x),
    "build_index ids": lambda x: kit.build_index(x, np.eye(2)),
    "build_index vectors": lambda x: kit.build_index(["a", "b"], x),
    "build_index spec": lambda x: kit.build_index(["a", "b"], np.eye(2), x),
    "search vectors": lambda x: INDEX.search(x, 2),
    "search k": lambda x: INDEX.search(np.eye(2), x),
    "add_random_passages table": lambda x: add_random_passages(x, CORPUS, 1),
    "add_random_passages corpus": lambda x: add_random_passages(TABLE, x, 1),
    "add_random_passages count": lambda x: add_random_passages(TABLE, CORPUS, x),
    "answer_recall table": lambda x: answer_recall(x, QUESTIONS, CORPUS, [1]),
    "answer_recall questions": lambda x: answer_recall(TABLE, x, CORPUS, [1]),
    "answer_recall corpus": lambda x: answer_recall(TABLE, QUESTIONS, x, [1]),
    "answer_recall ks": lambda x: answer_recall(TABLE, QUESTIONS, CORPUS, x),
    "answer_hits": lambda x: answer_hits(TABLE, x, CORPUS),
    "answer_ranks": lambda x: answer_ranks(x, QUESTIONS, CORPUS),
    "reciprocal_rank": lambda x: reciprocal_rank(x, JUDGED),
    "reciprocal_rank judgements": lambda x: reciprocal_rank(TABLE, x),
    "recall k": lambda x: recall(TABLE, JUDGED, x),
    "average_precision k": lambda x: average_precision(TABLE, JUDGED, x),
    "ndcg": lambda x: ndcg(TABLE, x),
    "judged": lambda x: judged(TABLE, x),
    "exact_match": lambda x: exact_match(x, ["a"]),
    "exact_match answers": lambda x: exact_match("a", x),
    "exact_match_rate": lambda x: exact_match_rate(x, QUESTIONS),
    "exact_match_rate questions": lambda x: exact_match_rate({"q": "a"}, x),
    "f1": lambda x: f1("a", x),
    "has_answer": lambda x: has_answer("a", x),
    "has_answer text": lambda x: has_answer(x, ["a"]),
    "normalize_answer": lambda x: normalize_answer(x),
    "inversions": lambda x: inversions(x),
    "top_overlap": lambda x: top_overlap([1.0, 2.0], x),
    "cover_depth": lambda x: cover_depth([1.0, 2.0], x),
    "Passage": lambda x: Passage(x, "", ""),
    "Question": lambda x: Question("q", "", x),
    "ScoreTable": lambda x: ScoreTable("t", x, x, x),
    "ScoreTable.top": lambda x: TABLE.top(x),
    "ScoreTable.select": lambda x: TABLE.select(x),
    "ScoreTable.row_of": lambda x: TABLE.row_of(x),
    "ScoreTable.aligned_to": lambda x: TABLE.aligned_to(x),
    "load_passages": lambda x: kit.load_passages(x),
    "load_questions": lambda x: kit.load_questions(x),
    "load_examples": lambda x: kit.load_examples(x),
}


@pytest.mark.parametrize("entry", ENTRIES)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(value=ANYTHING)
def test_anything_gives_an_answer_or_one_line(entry, value):
    try:
        ENTRIES[entry](value)
    except KitError as error:
        assert "\n" not in str(error)
