"""Passage, Question, ScoreTable: what they hold, refuse and give back."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kit.types import KitError, Passage, Question, ScoreTable

NAN = float("nan")


@pytest.fixture
def table() -> ScoreTable:
    return ScoreTable("t", ["q1", "q2"], [["a", "b", "c"], ["b", "d", ""]], [[1.0, 3.0, 3.0], [NAN, -np.inf, NAN]])


def test_top_is_highest_first_ties_in_order_unscored_last(table):
    top = table.top(3)
    assert top.passage_ids.tolist() == [["b", "c", "a"], ["d", "b", ""]]
    assert table.top(1).passage_ids.tolist() == [["b"], ["d"]], "a score of -inf is a score"
    assert table.top(9).values.shape == (2, 3)


def test_top_puts_a_score_before_an_unscored_passage():
    table = ScoreTable("t", ["q"], [["a", "b"]], [[NAN, -5.0]])
    assert table.top(2).passage_ids.tolist() == [["b", "a"]]


def test_aligned_to_takes_the_other_tables_cells(table):
    other = ScoreTable("o", ["q2", "q1"], [["d", "x"], ["c", ""]], [[0.0, 0.0], [0.0, NAN]])
    aligned = table.aligned_to(other)
    assert aligned.name == "t" and aligned.passage_ids.tolist() == other.passage_ids.tolist()
    np.testing.assert_array_equal(aligned.values, np.float32([[-np.inf, NAN], [3.0, NAN]]))


def test_save_and_load_give_the_same_table(table, tmp_path):
    table.save(tmp_path / "t.parquet")
    again = ScoreTable.load(tmp_path / "t.parquet")
    assert again.name == "t" and again.question_ids.tolist() == ["q1", "q2"]
    np.testing.assert_array_equal(again.values, table.values)
    np.testing.assert_array_equal(again.passage_ids, table.passage_ids)
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_an_empty_table_can_be_saved(tmp_path):
    ScoreTable("t", [], np.zeros((0, 4), dtype=str), np.zeros((0, 4))).save(tmp_path / "t.parquet")
    assert len(ScoreTable.load(tmp_path / "t.parquet")) == 0


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_text("nothing")
    with pytest.raises(KitError, match=r"t\.parquet: wanted a score table saved by the kit"):
        ScoreTable.load(tmp_path / "t.parquet")


def test_frame_has_a_row_a_cell(table):
    frame = table.to_frame()
    assert frame["rank"].tolist() == [1, 2, 3, 1, 2]
    assert frame["passage_id"].tolist() == ["a", "b", "c", "b", "d"]


def test_arrays_are_read_only_and_their_own():
    values = np.zeros((1, 1), dtype=np.float32)
    table = ScoreTable("t", ["q"], [["a"]], values)
    values[0, 0] = 7
    assert table.values[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        table.values[0, 0] = 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["q"], [["a", "a"]], [[1.0, 2.0]]), "each passage once, given 'a' twice"),
        ((["q", "q"], [["a"], ["b"]], [[1.0], [2.0]]), "question ids that differ, given 'q' twice"),
        ((["q"], [[""]], [[1.0]]), "NaN where there is no passage"),
        ((["q", "r"], [["a"], ["b", "c"]], [[1.0], [1.0]]), "rows of one length"),
        ((["q"], [["a", "b"]], [[1.0]]), "one value for each"),
    ],
)
def test_what_is_wrong_is_said(arguments, message):
    with pytest.raises(KitError, match=message):
        ScoreTable("t", *arguments)


@pytest.mark.parametrize("wrong", [None, 3, 2.5, "q", [None], [2.5], ["a\0"], ["x" * 2000], [["a"], ["b", "c"]]])
def test_what_is_no_list_of_ids_is_refused(wrong):
    for arguments in [(wrong, [["a"]], [[1.0]]), (["q"], wrong, [[1.0]]), (["q"], [["a"]], wrong)]:
        with pytest.raises(KitError, match="score table 't'"):
            ScoreTable("t", *arguments)


@pytest.mark.parametrize("k", [None, 0, -1, 2.5, "3", True, [1]])
def test_k_is_a_whole_number(table, k):
    with pytest.raises(KitError, match="wanted k of at least 1"):
        table.top(k)


def test_a_table_shows_ids_and_name_as_text():
    html = ScoreTable("<script>x</script>", ["<q>"], [["<p>"]], [[1.0]])._repr_html_()
    assert "<script>" not in html and "<q>" not in html and "&lt;p&gt;" in html and "<td>1</td>" in html


def test_questions_and_passages_are_checked():
    with pytest.raises(KitError, match="a list of answers, given the string 'Paris'"):
        Question("q", "where?", "Paris")
    with pytest.raises(KitError, match="an id that is a string and not empty"):
        Passage("", "t", "x")
    assert Question("q", "where?", ["Paris"]).answers == ("Paris",)


def test_a_notebook_shows_one_line():
    code = "from kit.types import KitError\nraise KitError('a.json:3', 'a number', 'x')"
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.stdout + ended.stderr).strip() == "KitError: a.json:3: wanted a number, given x"
