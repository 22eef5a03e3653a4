"""The FiD format: what the original accepts, what must come back as it went, and what is refused with its line."""

import json
import math
import pathlib

import numpy as np
import pytest

from kit.data import Corpus, iter_examples, load_examples, load_questions, save_examples, save_questions
from kit.data.examples import example_writer
from kit.text import reader_input
from kit.types import KitError, Passage, Question, ScoreTable

GOLDEN = json.loads((pathlib.Path(__file__).parent / "golden/evaluation/formatting.json").read_text(encoding="utf-8"))
QUESTIONS = [
    Question("q1", "Who wrote Faust?", ("Goethe", "J. W. von Goethe"), "Goethe"),
    Question("7", "Überall?"),
    Question("q3", "Where?", ("Rome",)),
]
CORPUS = Corpus(Passage(i, f"title {i}", f'text "{i}"\n日本') for i in ("a", "b", "c", "d"))
TABLE = ScoreTable(
    "bm25",
    ["q3", "q1", "7"],
    [["a", "b", "c"], ["d", "a", ""], ["", "", ""]],
    [[81.3, float("nan"), -1e-7], [2.0, float("-inf"), float("nan")], [float("nan")] * 3],
)
CONTEXT = {"id": "1", "title": "t", "text": "x"}


def write_lines(path, *records):
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["e.json", "e.jsonl", "e.json.gz", "e.jsonl.gz"])
def test_examples_come_back_as_they_went(tmp_path, name):
    save_examples(tmp_path / name, QUESTIONS, CORPUS, TABLE)
    questions, corpus, table = load_examples(tmp_path / name, name="again")
    wanted = TABLE.select(["q1", "7", "q3"])
    assert questions == QUESTIONS
    assert dict(corpus) == {i: CORPUS[i] for i in ("d", "a", "b", "c")}
    assert table.name == "again"
    assert table.question_ids.tolist() == wanted.question_ids.tolist()
    assert table.passage_ids.tolist() == wanted.passage_ids.tolist()
    np.testing.assert_array_equal(table.values, wanted.values)
    assert load_questions(tmp_path / name) == QUESTIONS


def test_the_file_is_what_the_original_reads(tmp_path):
    save_examples(tmp_path / "e.json", QUESTIONS, CORPUS, TABLE)
    first, second, third = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    assert first["target"] == "Goethe"
    assert first["answers"] == ["Goethe", "J. W. von Goethe"]
    assert [context["id"] for context in first["ctxs"]] == ["d", "a"]
    assert float(first["ctxs"][1]["score"]) == -math.inf  # the original takes float(score)
    assert "target" not in second
    assert second["ctxs"] == []
    assert [context.get("score", "none") for context in third["ctxs"]] == [81.3, "none", -1e-7]


def test_passages_and_order_as_the_original_formats_them(tmp_path):
    """The original sorts by score, keeps n_context and formats; here the file's order is kept and `top` sorts."""
    examples = list(iter_examples(write_lines(tmp_path / "e.jsonl", *GOLDEN["dataset"]["examples"])))
    for result in (case for case in GOLDEN["dataset"]["results"] if case["n_context"]):
        for (question, passages, scores), row in zip(examples, result["rows"], strict=True):
            ids, by_id = [passage.id for passage in passages], {passage.id: passage for passage in passages}
            top = ScoreTable("file", [question.id], [ids], [scores]).top(result["n_context"])
            inputs = [reader_input(question.text, by_id[passage_id]) for passage_id in top.passage_ids[0].tolist()]
            assert inputs == row["reader_inputs"]
            assert top.values[0].tolist() == row["scores"]


def test_missing_ids_are_positions_and_missing_scores_stay_missing(tmp_path):
    """The original numbers examples from 0, too, but makes up a score of 1 / (1 + the example's number)."""
    records = GOLDEN["load_data"]["records"]
    questions, _, table = load_examples(write_lines(tmp_path / "e.jsonl", *records))
    assert [question.id for question in questions] == [str(i) for i in GOLDEN["load_data"]["ids"]]
    np.testing.assert_array_equal(table.values, [[math.nan, 3], [math.nan, math.nan], [math.nan, math.nan]])
    assert (table.passage_ids == "").tolist() == [[False, False], [False, False], [False, True]]


def test_a_passage_without_id_is_called_after_its_text(tmp_path):
    texts = [{"title": "t", "text": "x"}, {"title": "t", "text": "y"}, {"title": "", "text": "x"}]
    path = write_lines(tmp_path / "e.jsonl", {"question": "a", "ctxs": texts}, {"question": "b", "ctxs": texts[::-1]})
    _, corpus, table = load_examples(path)
    assert len(corpus) == 3
    assert table.passage_ids[0].tolist() == table.passage_ids[1].tolist()[::-1]
    assert [corpus[i].text for i in table.passage_ids[0].tolist()] == ["x", "y", "x"]


@pytest.mark.parametrize(
    ("record", "answers"),
    [
        ({"answers": ["a", "b"]}, ("a", "b")),
        ({"answer": "a"}, ("a",)),
        ({"answer": ["a", "b"]}, ("a", "b")),
        ({"answers": None, "answer": ["a"]}, ("a",)),
        ({"answers": []}, ()),
        ({}, ()),
    ],
)
def test_questions_with_answers_in_every_form_and_without(tmp_path, record, answers):
    questions = load_questions(write_lines(tmp_path / "q.jsonl", {"id": 5, "question": "who?", **record}))
    assert questions == [Question("5", "who?", answers)]


@pytest.mark.parametrize(
    ("score", "value"),
    [("81.3", 81.3), (3, 3.0), (None, math.nan), ("", math.nan), ("nan", math.nan), ("-Infinity", -math.inf)],
)
def test_scores_may_be_strings_numbers_or_missing(tmp_path, score, value):
    context = {**CONTEXT, "score": score, "has_answer": True, "gold": 1}
    (example,) = iter_examples(write_lines(tmp_path / "e.jsonl", {"question": "?", "ctxs": [context], "extra": {}}))
    assert example.passages == [Passage("1", "t", "x")]
    np.testing.assert_array_equal(example.scores, [value])


GOOD = {"id": "g", "question": "?", "ctxs": [CONTEXT]}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": "b"}, "wanted a string in 'question', given the keys ['id']"),
        ({"question": 7}, "wanted a string in 'question', given 7"),
        ({"question": "?", "answers": 3}, "wanted a list of strings in 'answers', given 3"),
        ({"question": "?", "answers": [1988]}, "wanted a list of strings in 'answers', given [1988]"),
        ({"question": "?", "target": 5}, "wanted a target that is a string or None, given 5"),
        ({"question": "?", "id": 2.5}, "wanted an id that is a string or a whole number, given 2.5"),
        ({"question": "?", "id": "g"}, "wanted an id other than that of the question on line 1, given 'g'"),
        ({"question": "?", "ctxs": {}, "id": ""}, "wanted an id that is a string or a whole number, given ''"),
        ({"question": "?", "ctxs": "x"}, "wanted a list of passages in 'ctxs', given 'x'"),
        ({"question": "?", "ctxs": [3]}, "wanted a list of passages in 'ctxs', given [3]"),
        ({"question": "?", "ctxs": [{"id": "2"}]}, "wanted a string in 'text' of ctxs 1, given None"),
        (
            {"question": "?", "ctxs": [{**CONTEXT, "score": "high"}]},
            "wanted a number in 'score' of ctxs 1, given 'high'",
        ),
        ({"question": "?", "ctxs": [{**CONTEXT, "score": True}]}, "wanted a number in 'score' of ctxs 1, given True"),
        ({"question": "?", "ctxs": [CONTEXT] * 2}, "wanted each passage once, given '1' as ctxs 1 and 2"),
        ({"question": "?", "ctxs": [{**CONTEXT, "text": "y"}]}, "wanted passage '1' as earlier in the file, given 'y'"),
    ],
)
def test_a_broken_record_is_refused_with_its_line(tmp_path, record, message):
    path = write_lines(tmp_path / "e.jsonl", GOOD, record)
    with pytest.raises(KitError) as error:
        load_examples(path)
    assert str(error.value) == f"{path}:2: {message}"


def test_an_id_twice_on_one_line_of_a_list_is_seen(tmp_path):
    (tmp_path / "e.json").write_text(json.dumps([{"id": "g", "question": "?"}] * 2))
    for load in (load_examples, load_questions):
        with pytest.raises(KitError, match=r"e\.json:1: wanted an id other than that of the question on line 1"):
            load(tmp_path / "e.json")


def test_files_without_passages_and_empty_files(tmp_path):
    save_questions(tmp_path / "q.jsonl.gz", QUESTIONS)
    assert load_questions(tmp_path / "q.jsonl.gz") == QUESTIONS
    questions, corpus, table = load_examples(tmp_path / "q.jsonl.gz")
    assert (len(questions), len(corpus), table.values.shape) == (3, 0, (3, 0))
    save_questions(tmp_path / "none.json", [])
    for load in (load_questions, load_examples):
        with pytest.raises(KitError, match=r"none\.json: wanted (questions|examples), given none"):
            load(tmp_path / "none.json")


def test_the_writer_streams_and_leaves_nothing_half_written(tmp_path):
    with (
        pytest.raises(KitError, match="question 'q1': wanted 1 scores, given 2"),
        example_writer(tmp_path / "e.jsonl") as write,
    ):
        write(QUESTIONS[0])
        write(QUESTIONS[0], [CORPUS["a"]], [1.0, 2.0])
    assert list(tmp_path.iterdir()) == []


def test_saving_wants_the_tables_passages_and_questions(tmp_path):
    with pytest.raises(KitError, match="question 'q3': wanted passages that the corpus holds, given 'a'"):
        save_examples(tmp_path / "e.json", [QUESTIONS[2]], {}, TABLE)
    with pytest.raises(KitError, match="wanted a question that it holds, given 'new'"):
        save_examples(tmp_path / "e.json", [Question("new", "?")], CORPUS, TABLE)


def test_examples_are_read_one_at_a_time(tmp_path):
    path = write_lines(tmp_path / "e.jsonl", GOOD, {"question": 7})
    stream = iter_examples(path)
    assert next(stream).question.id == "g"  # the broken second line has not been read yet
    with pytest.raises(KitError):
        next(stream)
