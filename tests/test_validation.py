"""The report on a file: right counts, every error with its line, every oddity with its first place."""

import json

import pytest

from kit.data import validate
from kit.types import KitError


def write_lines(path, *records):
    path.write_text("\n".join(record if isinstance(record, str) else json.dumps(record) for record in records))
    return path


def context(passage_id, text, score=None):
    return {"id": passage_id, "title": "t", "text": text, **({} if score is None else {"score": score})}


def test_counts_and_the_share_of_questions_whose_passages_hold_the_answer(tmp_path):
    path = write_lines(
        tmp_path / "e.jsonl",
        {"id": 2, "question": "b?", "answers": ["Rome"], "ctxs": [context("p", "in Paris", 2)]},
        {
            "id": 1,
            "question": "a?",
            "answers": ["Rome"],
            "ctxs": [context("p", "in Paris", 2), context("r", "in ROME", 1)],
        },
        {"id": 3, "question": "c?"},
    )
    report = validate(path)
    assert (report.questions, report.passages, report.contexts) == (3, 2, (0, 2))
    assert (report.with_answers, report.answerable, report.answer_share) == (2, 1, 0.5)
    assert report.ok
    assert report.warnings == {
        "question without answers": (1, f"{path}:3"),
        "question without passages": (1, f"{path}:3"),
    }
    assert "passages hold an answer for 1 of 2 (50.0%)" in str(report)


@pytest.mark.parametrize(
    ("scores", "warning"),
    [
        ([3, 2, 1], None),
        ([1, 1, 1], "scores all equal"),
        ([2, 1, 1], "tied scores"),
        ([1, 3, 2], "scores not in falling order"),
        ([None, 3, 2], "some passages without scores"),
        ([None, None, None], "passages without scores"),
    ],
)
def test_odd_scores(tmp_path, scores, warning):
    contexts = [context(str(i), "x", score) for i, score in enumerate(scores)]
    report = validate(write_lines(tmp_path / "e.jsonl", {"question": "?", "answers": ["x"], "ctxs": contexts}))
    assert list(report.warnings) == ([warning] if warning else [])


def test_odd_questions_and_passages(tmp_path):
    record = {"question": " ", "answers": [" ", "x"], "target": "y", "ctxs": [{"id": "1", "text": " ", "score": 1}]}
    report = validate(write_lines(tmp_path / "e.jsonl", record))
    assert set(report.warnings) == {
        "blank question", "blank answer (it is passed over)", "target that is not one of the answers",
        "passage without text", "passage without title",
    }  # fmt: skip
    assert (report.with_answers, report.answerable) == (1, 0)


def test_all_errors_are_named_not_the_first_alone(tmp_path):
    good = {"id": "g", "question": "?", "answers": ["x"], "ctxs": [context("p", "x", 1)]}
    path = write_lines(
        tmp_path / "e.jsonl", good, '{"id"', {"id": 2}, good, {**good, "id": "h", "ctxs": [context("p", "y", 1)]}, "7"
    )
    report = validate(path)
    assert not report.ok
    assert [error.split(": wanted")[0] for error in report.errors] == [f"{path}:{line}" for line in (2, 3, 4, 5, 6)]
    assert str(report).count("error: ") == 5


def test_answers_that_are_regular_expressions(tmp_path):
    contexts = [context("p", "20,320 feet", 1)]
    path = write_lines(
        tmp_path / "e.jsonl",
        {"question": "a?", "answers": ["20,?3\\d+ f(ee|oo)t"], "ctxs": contexts},
        {"question": "b?", "answers": ["(20"], "ctxs": contexts},
    )
    assert validate(path).answerable == 0
    report = validate(path, regex=True)
    assert report.answerable == 1
    assert report.errors == [f"{path}:2: wanted a regular expression, given missing ) at position 3"]


def test_passages_files(tmp_path):
    (tmp_path / "p.tsv").write_text("id\ttext\ttitle\n1\ta\t\n2\tb\tt\n")
    report = validate(tmp_path / "p.tsv")
    assert (report.kind, report.passages, report.warnings) == (
        "passages",
        2,
        {"passage without title": (1, "passage '1'")},
    )
    assert validate(write_lines(tmp_path / "p.jsonl", {"id": "1", "text": "a", "title": "t"})).kind == "passages"
    report = validate(write_lines(tmp_path / "b.tsv", "1\ta\tb", "2"))
    assert report.errors == [
        f"{tmp_path / 'b.tsv'}:2: wanted three columns id, text, title; quotes at both ends of a field that begins "
        "with one, those inside doubled, given '2'"
    ]


def test_an_empty_file_and_a_missing_one_are_errors(tmp_path):
    path = write_lines(tmp_path / "e.jsonl")
    assert validate(path).errors == [f"{path}: wanted examples, given none"]
    with pytest.raises(KitError, match="wanted a file that can be read"):
        validate(tmp_path / "none.jsonl")
