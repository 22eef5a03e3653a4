"""Runs and judgements: what pytrec_eval reads of them, what comes back, what is refused with its line."""

import numpy as np
import pytest
import pytrec_eval

from kit.data import read_qrels, read_run, write_qrels, write_run
from kit.types import KitError, ScoreTable

TABLE = ScoreTable(
    "my run", ["q1", "2"], [["a", "b-7", "c"], ["z", "", ""]], [[0.1, 81.3, -np.inf], [-2.5e-7, np.nan, np.nan]]
)


@pytest.mark.parametrize("name", ["run.txt", "run.txt.gz"])
def test_a_run_comes_back_in_the_order_of_its_scores(tmp_path, name):
    write_run(tmp_path / name, TABLE)
    table = read_run(tmp_path / name)
    assert table.name == "my-run"
    assert read_run(tmp_path / name, "x").name == "x"
    assert table.question_ids.tolist() == ["q1", "2"]
    assert table.passage_ids.tolist() == [["b-7", "a", "c"], ["z", "", ""]]
    np.testing.assert_array_equal(table.values, TABLE.top(3).values)


def test_the_files_lines_and_what_pytrec_eval_reads(tmp_path):
    write_run(tmp_path / "run", TABLE, tag="t")
    text = (tmp_path / "run").read_text()
    assert text.splitlines() == ["q1 Q0 b-7 1 81.3 t", "q1 Q0 a 2 0.1 t", "q1 Q0 c 3 -inf t", "2 Q0 z 1 -2.5e-07 t"]
    with open(tmp_path / "run") as file:
        run = pytrec_eval.parse_run(file)
    assert run["q1"] == pytest.approx({"b-7": 81.3, "a": 0.1, "c": -np.inf})


def test_judgements_come_back_and_pytrec_eval_reads_the_same(tmp_path):
    judgements = {"q1": {"a": 3, "b": -1}, "q2": {"a": 0}}
    write_qrels(tmp_path / "qrels.gz", judgements)
    assert read_qrels(tmp_path / "qrels.gz") == judgements
    (tmp_path / "qrels").write_text("q1\t0\ta\t3\r\n q1 0  b -1\n\nq2 Q0 a 0")
    assert read_qrels(tmp_path / "qrels") == judgements
    write_qrels(tmp_path / "plain", judgements)
    with open(tmp_path / "plain") as file:
        assert pytrec_eval.parse_qrel(file) == judgements


def test_the_order_and_the_rank_column_of_a_run_are_kept_and_passed_over(tmp_path):
    (tmp_path / "run").write_text("q Q0 low 1 1.0 t\nq Q0 high 9 2.0 t\nq2 Q0 low 1 1 t\nq Q0 mid 3 1.5 t\n")
    table = read_run(tmp_path / "run")
    assert table.passage_ids.tolist() == [["low", "high", "mid"], ["low", "", ""]]
    assert table.top(1).passage_ids[0].tolist() == ["high"]


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_run, "q Q0 a 1 2.0 t\nq Q0 b 2 t\n", ":2: wanted 6 columns question Q0 passage rank score tag, given 5"),
        (read_run, "q Q0 a 1 2.0 t\nq Q0 a 2 1.0 t\n", ":2: wanted each passage of question 'q' once, given 'a'"),
        (read_run, "q Q0 a 1 high t\n", ":1: wanted a number as score, given 'high'"),
        (read_run, "q Q0 a 1 nan t\n", ":1: wanted a number as score, given 'nan'"),
        (read_run, "\n", ": wanted a run, given an empty file"),
        (read_qrels, "q 0 a 1\n\nq 0 b\n", ":3: wanted 4 columns question 0 passage grade, given 3"),
        (read_qrels, "q 0 a 1\nq 0 a 2\n", ":2: wanted grade 1 of passage 'a', as before, given 2"),
        (read_qrels, "q 0 a 1.5\n", ":1: wanted a whole number as grade, given '1.5'"),
        (read_qrels, "", ": wanted judgements, given an empty file"),
    ],
)
def test_errors_name_file_and_line(tmp_path, read, content, message):
    (tmp_path / "file").write_text(content)
    with pytest.raises(KitError) as error:
        read(tmp_path / "file")
    assert str(error.value).startswith(f"{tmp_path / 'file'}{message}")


def test_what_a_run_has_no_room_for_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(KitError, match="question 'q': wanted a score for passage 'b', given none"):
        write_run(tmp_path / "run", ScoreTable("t", ["q"], [["a", "b"]], [[1, np.nan]]))
    with pytest.raises(KitError, match="passage id: wanted a word without white space, given 'a b'"):
        write_run(tmp_path / "run", ScoreTable("t", ["q"], [["a b"]], [[1]]))
    with pytest.raises(KitError, match="question id: wanted a word without white space, given 'a b'"):
        write_qrels(tmp_path / "qrels", {"a b": {"p": 1}})
    assert list(tmp_path.iterdir()) == []
