"""Measures of a score table: by hand, against recordings, a slow loop, and trec_eval (pytrec_eval) itself."""

import json
import pathlib

import numpy as np
import pytest
import pytrec_eval

from kit import metrics
from kit.metrics import ranking
from kit.types import KitError, Passage, Question, ScoreTable

GOLDEN = pathlib.Path(__file__).parent / "golden/evaluation"
RANKING = json.loads((GOLDEN / "ranking.json").read_text())["cases"]
MATCHES = json.loads((GOLDEN / "strings.json").read_text(encoding="utf-8"))["calculate_matches"]
NAN = float("nan")

CORPUS = {
    i: Passage(i, "Rome", text) for i, text in {"p": "in Paris", "r": "in ROME", "b": "Paris, Rome", "n": "no"}.items()
}
QUESTIONS = [Question("1", "?", ("Paris",)), Question("2", "?", ("rome", " ")), Question("3", "?", ("Oslo",))]
TABLE = ScoreTable(
    "t",
    ["3", "1", "2"],
    [["p", "r", "b"], ["n", "p", "b"], ["p", "r", ""]],
    [[1, 2, 3], [3, NAN, 2], [5, 4, NAN]],
)


def test_answer_hits_keep_the_tables_columns():
    hits = metrics.answer_hits(TABLE, QUESTIONS, CORPUS)
    assert hits.tolist() == [[False, True, True], [False, True, False], [False, False, False]]


def test_ranks_follow_the_values_with_unscored_passages_last():
    assert metrics.answer_ranks(TABLE, QUESTIONS, CORPUS).tolist() == [2, 2, np.inf]
    assert metrics.answer_recall(TABLE, QUESTIONS, CORPUS, [1, 2, 3]) == {1: 0, 2: 2 / 3, 3: 2 / 3}


def test_hits_as_the_original_counts_them():
    data = [item for item in MATCHES["data"] if all(context["text"] is not None for context in item["ctxs"])]
    hits = [row for row, item in zip(MATCHES["questions_doc_hits"], MATCHES["data"], strict=True) if item in data]
    corpus = {
        f"{q}-{k}": Passage(f"{q}-{k}", "", c["text"]) for q, d in enumerate(data) for k, c in enumerate(d["ctxs"])
    }
    ids = [[f"{q}-{k}" for k in range(3)] for q in range(len(data))]
    table = ScoreTable("t", range(len(data)), ids, [[3, 2, 1]] * len(data))
    questions = [Question(str(q), "?", item["answers"]) for q, item in enumerate(data)]
    assert metrics.answer_hits(table, questions, corpus).tolist() == hits


def test_a_passage_is_prepared_once_for_all_its_questions(monkeypatch):
    seen = []
    monkeypatch.setattr(ranking, "searchable", lambda text, regex: seen.append(text) or text)
    metrics.answer_hits(TABLE, QUESTIONS, CORPUS)
    assert sorted(seen) == sorted(passage.text for passage in CORPUS.values())


def test_recall_of_many_questions_equals_a_slow_loop():
    draw = np.random.default_rng(0)
    corpus = {str(i): Passage(str(i), "", " ".join(draw.choice(list("abcdefgh"), 3))) for i in range(30)}
    ids = np.array([draw.permutation(30)[:10] for _ in range(40)]).astype(str)
    table = ScoreTable("t", range(40), ids, draw.normal(size=(40, 10)))
    questions = [Question(str(i), "?", (" ".join(draw.choice(list("abcdefgh"), 2)),)) for i in draw.permutation(40)]
    got = metrics.answer_recall(table, questions, corpus, range(1, 11))
    for k in range(1, 11):
        found = 0
        for question in questions:
            row = table.row_of(question.id)
            best = sorted(range(10), key=lambda cell: -table.values[row, cell])[:k]
            found += any(metrics.has_answer(corpus[table.passage_ids[row, c]].text, question.answers) for c in best)
        assert got[k] == found / 40
    assert 0 < got[1] < got[10] < 1


def test_an_empty_table_holds_no_answer():
    table = ScoreTable("t", ["1"], [[]], [[]])
    assert metrics.answer_ranks(table, QUESTIONS[:1], CORPUS).tolist() == [np.inf]


def test_mistakes_of_answer_recall_are_named():
    with pytest.raises(KitError, match="score table 't': wanted k from 1 to 3, given 20"):
        metrics.answer_recall(TABLE, QUESTIONS, CORPUS, [1, 20])
    with pytest.raises(KitError, match="question '1': wanted at least one answer, given none"):
        metrics.answer_recall(TABLE, [Question("1", "?")], CORPUS, [1])
    with pytest.raises(KitError, match="wanted a question that it holds, given 'x'"):
        metrics.answer_recall(TABLE, [Question("x", "?", ("a",))], CORPUS, [1])
    with pytest.raises(KitError, match="wanted the passages of the table, given no passage 'b'"):
        metrics.answer_recall(TABLE, QUESTIONS, {i: CORPUS[i] for i in "prn"}, [1])
    with pytest.raises(KitError, match="wanted questions, given none"):
        metrics.answer_recall(TABLE, [], CORPUS, [1])


JUDGEMENTS = {"q": {"a": 2, "b": 0, "c": 1, "elsewhere": 1}}
RUN = ScoreTable("r", ["q"], [["b", "c", "x", "a"]], [[4, 3, 2, 1]])


def test_measures_by_hand():
    assert metrics.reciprocal_rank(RUN, JUDGEMENTS).tolist() == [1 / 2]
    assert metrics.reciprocal_rank(RUN, JUDGEMENTS, relevant=2).tolist() == [1 / 4]
    assert metrics.reciprocal_rank(RUN, JUDGEMENTS, 1).tolist() == [0]
    assert metrics.recall(RUN, JUDGEMENTS, 2).tolist() == [1 / 3]
    assert metrics.average_precision(RUN, JUDGEMENTS).tolist() == [pytest.approx((1 / 2 + 2 / 4) / 3)]
    assert metrics.recall(RUN, JUDGEMENTS, relevant=0).tolist() == [3 / 4]  # x was not judged
    ideal = 2 + 1 / np.log2(3) + 1 / np.log2(4)
    assert metrics.ndcg(RUN, JUDGEMENTS).tolist() == [pytest.approx((1 / np.log2(3) + 2 / np.log2(5)) / ideal)]


@pytest.mark.parametrize("k", [1, 5, 10, 100])
def test_measures_equal_trec_eval(k):
    draw = np.random.default_rng(k)
    ids = np.array([draw.permutation(60)[:30] for _ in range(25)]).astype(str)
    values = draw.permutation(25 * 30).reshape(25, 30).astype(float)  # no ties: trec_eval breaks them by id
    ids[3, 20:], values[3, 20:] = "", NAN
    table = ScoreTable("t", range(25), ids, values)
    judged = {str(q): {str(i): int(draw.integers(-1, 4)) for i in draw.permutation(60)[:15]} for q in range(24)}
    judged["7"] = {"1": 0, "2": 0}  # judged, and nothing relevant
    table = metrics.judged(table, judged)
    assert len(table) == 24
    run = {
        question: {
            i: float(v) for i, v in zip(table.passage_ids[row].tolist(), table.values[row].tolist(), strict=True) if i
        }
        for row, question in enumerate(table.question_ids.tolist())
    }
    for relevant in (1, 2):
        names = {f"ndcg_cut.{k}", f"recall.{k}", f"map_cut.{k}", "map", "recip_rank"}
        theirs = pytrec_eval.RelevanceEvaluator(judged, names, relevance_level=relevant).evaluate(run)
        ours = {
            f"ndcg_cut_{k}": metrics.ndcg(table, judged, k),
            f"recall_{k}": metrics.recall(table, judged, k, relevant=relevant),
            f"map_cut_{k}": metrics.average_precision(table, judged, k, relevant=relevant),
            "map": metrics.average_precision(table, judged, relevant=relevant),
            "recip_rank": metrics.reciprocal_rank(table, judged, 30, relevant=relevant),
        }
        for name, values in ours.items():
            wanted = [theirs[question][name] for question in table.question_ids.tolist()]
            np.testing.assert_allclose(values, wanted, atol=1e-12, err_msg=f"{name}, relevant from {relevant}")


def test_the_order_of_columns_does_not_matter():
    order = [2, 0, 3, 1]
    other = ScoreTable("r", ["q"], RUN.passage_ids[:, order], RUN.values[:, order])
    for measure in (metrics.reciprocal_rank, metrics.recall, metrics.average_precision, metrics.ndcg):
        assert measure(other, JUDGEMENTS).tolist() == measure(RUN, JUDGEMENTS).tolist()


def test_a_question_without_judgements_is_named():
    table = ScoreTable("r", ["q", "new"], [["a"], ["a"]], [[1], [1]])
    for measure in (metrics.reciprocal_rank, metrics.recall, metrics.average_precision, metrics.ndcg):
        with pytest.raises(KitError, match="question 'new': wanted judgements"):
            measure(table, JUDGEMENTS)
        assert measure(metrics.judged(table, JUDGEMENTS), JUDGEMENTS).shape == (1,)


@pytest.mark.parametrize("case", RANKING, ids=lambda case: f"{len(case['scores'])} scores")
def test_diagnostics_as_recorded(case):
    scores = np.array(case["scores"], dtype=np.float32)
    assert metrics.inversions(scores) == case["inversions"]
    for k, wanted in case["avg_topk"].items():
        assert metrics.top_overlap(scores, int(k)) == pytest.approx(wanted)
    for k, wanted in case["idx_topk"].items():
        assert metrics.cover_depth(scores, int(k)) == wanted


def test_mistakes_of_diagnostics_are_named():
    with pytest.raises(KitError, match="scores: wanted k from 1 to 2, given 3"):
        metrics.cover_depth([1.0, 2.0], 3)
    with pytest.raises(KitError, match="given NaN among them"):
        metrics.inversions([1.0, NAN])
    with pytest.raises(KitError, match=r"given shape \(1, 2\)"):
        metrics.top_overlap([[1.0, 2.0]], 1)
