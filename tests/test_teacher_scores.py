"""What teachers have in common: cells, files of scores, and Margin-MSE's teacher files."""

import gzip
import json
import re

import numpy as np
import pytest

from kit.data import load_examples, save_examples
from kit.data.records import DataWarning
from kit.teachers import files as teacher_files
from kit.teachers import load_teacher_triples, score_file
from kit.teachers.scaling import looks_like_probabilities
from kit.teachers.scores import batches_by_cost, score_cells
from kit.teachers.triples import iter_teacher_triples
from kit.types import KitError, Passage, Question, ScoreTable

NAN = float("nan")
CORPUS = {str(i): Passage(str(i), f"t{i}", "word " * i) for i in range(1, 6)}
QUESTIONS = [Question("a", "who", ("x",)), Question("b", "when"), Question("c", "where", ("y",), target="z")]
TABLE = ScoreTable(
    "bm25",
    ["c", "b", "a"],
    [["1", "2", "3"], ["", "", ""], ["", "5", "4"]],
    [[1.0, 3.0, NAN], [NAN, NAN, NAN], [NAN, 1.0, 2.0]],
)


class Lengths:
    """A teacher that counts words, and remembers which cells came together."""

    def __init__(self, n_context=None, questions_at_once=None):
        self.options, self.calls = {"n_context": n_context, "questions_at_once": questions_at_once}, []

    def score(self, questions, corpus, table, *, progress=False):
        def count(batch, passages):
            self.calls.append([(q.id, [p.id for p in row]) for q, row in zip(batch, passages, strict=True)])
            return [len(p.text.split()) / 3 for row in passages for p in row]

        return score_cells("lengths", questions, corpus, table, count, progress=progress, **self.options)


def test_cells_keep_their_places():
    teacher = Lengths()
    scores = teacher.score(QUESTIONS, CORPUS, TABLE)
    assert scores.name == "lengths" and scores.question_ids.tolist() == ["a", "b", "c"]
    assert scores.passage_ids.tolist() == [["", "5", "4"], ["", "", ""], ["1", "2", "3"]]
    np.testing.assert_allclose(scores.values * 3, [[NAN, 5, 4], [NAN] * 3, [1, 2, 3]], rtol=1e-6)
    assert teacher.calls == [[("a", ["5", "4"]), ("c", ["1", "2", "3"])]], "b has nothing to score"


def test_the_best_few_by_the_tables_scores_and_batches_of_questions():
    teacher = Lengths(n_context=2, questions_at_once=1)
    scores = teacher.score(QUESTIONS, CORPUS, TABLE)
    assert teacher.calls == [[("a", ["5", "4"])], [("c", ["1", "2"])]], "an unscored passage comes last"
    assert np.isnan(scores.values).tolist() == [[True, False, False], [True] * 3, [False, False, True]]
    assert scores.passage_ids[2].tolist() == ["1", "2", "3"], "the third keeps its cell"


def test_nothing_to_score():
    assert Lengths().score([], CORPUS, TABLE).values.shape == (0, 3)
    empty = ScoreTable("none", ["b"], np.empty((1, 0), dtype=str), np.empty((1, 0)))
    assert Lengths(n_context=3).score(QUESTIONS[1:2], {}, empty).values.shape == (1, 0)


def test_batches_cover_all_in_order():
    for most in (1, 2, 3, 50):
        costs = [1, 2, 2, 1, 3, 1]
        batches = list(batches_by_cost(range(6), costs.__getitem__, most))
        assert [i for batch in batches for i in batch] == list(range(6))
        assert all(len(run) == 1 or sum(costs[i] for i in run) <= most for run in batches)
    with pytest.raises(KitError, match="batch size: wanted at least 1, given 0"):
        list(batches_by_cost([1], int, 0))


# Files


@pytest.mark.parametrize("name", ["scores.jsonl", "scores.json", "scores.jsonl.gz"])
def test_a_file_of_scores_is_what_saving_the_table_gives(tmp_path, name, monkeypatch):
    monkeypatch.setattr(teacher_files, "CELLS_AT_ONCE", 3)
    save_examples(tmp_path / "retrieved.jsonl", QUESTIONS, CORPUS, TABLE)
    teacher = Lengths()
    score_file(teacher, tmp_path / "retrieved.jsonl", tmp_path / name)
    assert len(teacher.calls) == 2, "in parts"
    save_examples(tmp_path / f"whole-{name}", QUESTIONS, CORPUS, Lengths().score(QUESTIONS, CORPUS, TABLE))
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    questions, corpus, table = load_examples(tmp_path / name)
    assert questions == QUESTIONS and table.passages_of("a") == ["5", "4"]
    np.testing.assert_array_equal(table.values[2], np.array([1, 2, 3], dtype=np.float32) / np.float32(3))
    assert len(corpus) == 5


def test_a_file_is_scored_without_being_held(tmp_path, monkeypatch):
    source, target = tmp_path / "retrieved.jsonl", tmp_path / "scored.jsonl"
    save_examples(source, QUESTIONS, CORPUS, TABLE)
    for cells in (1, 3, 4096):
        monkeypatch.setattr(teacher_files, "CELLS_AT_ONCE", cells)
        teacher = Lengths(n_context=2)
        score_file(teacher, source, target)
        assert len(teacher.calls) == (1 if cells == 4096 else 2)
        questions, _, table = load_examples(target)
        assert questions == QUESTIONS
        np.testing.assert_allclose(table.values * 3, [[5, 4, NAN], [NAN] * 3, [1, 2, NAN]], rtol=1e-6)
        assert table.passages_of("c") == ["1", "2", "3"], "the passage that was not scored is still there"
    score_file(teacher, source, source)
    assert source.read_bytes() == target.read_bytes()


def test_a_failure_leaves_no_file(tmp_path, monkeypatch):
    path, source = tmp_path / "out.jsonl", tmp_path / "in.jsonl"
    monkeypatch.setattr(teacher_files, "CELLS_AT_ONCE", 1)
    save_examples(source, QUESTIONS, CORPUS, TABLE)
    lines = source.read_text().splitlines()
    source.write_text("\n".join([*lines, lines[0]]))
    with pytest.raises(KitError, match=r"in.jsonl:4: wanted question ids that differ, given 'a' twice"):
        score_file(Lengths(), source, path)
    record = json.loads(lines[0])
    record["id"], record["ctxs"][0]["text"] = "d", "other words"
    source.write_text("\n".join([*lines, json.dumps(record)]))
    monkeypatch.setattr(teacher_files, "CELLS_AT_ONCE", 99)
    with pytest.raises(KitError, match=r"in.jsonl:4: wanted passage '5' as earlier in the file"):
        score_file(Lengths(), source, path)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


# Margin-MSE's teacher files

TRIPLES = "9.5\t-1.25\tq1\tp1\tn1\n9.5\t3\tq1\tp1\tn2\n-2\t-8e-1\tq2\tp1\tn3\n"


def test_triples_as_a_table(tmp_path):
    path = tmp_path / "teacher.tsv"
    path.write_text(TRIPLES)
    with gzip.open(tmp_path / "teacher.tsv.gz", "wt") as stream:
        stream.write(TRIPLES.replace("\n", "\r\n"))
    for each in (path, tmp_path / "teacher.tsv.gz"):
        table = load_teacher_triples(each, name="T2")
        assert table.name == "T2" and table.question_ids.tolist() == ["q1", "q2"]
        assert table.passage_ids.tolist() == [["p1", "n1", "n2"], ["p1", "n3", ""]]
        np.testing.assert_allclose(table.values, [[9.5, -1.25, 3.0], [-2.0, -0.8, NAN]])
        margins = [t.positive_score - t.negative_score for t in iter_teacher_triples(each)]
        assert margins == pytest.approx([10.75, 6.5, -1.2])
    assert load_teacher_triples(path, most=2).passage_ids.tolist() == [["p1", "n1"], ["p1", "n3"]]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("9.5\t3\tq1\tp1", "five columns"),
        ("9.5\t3\tq1\tp1\tn2\tmore", "five columns"),
        ("pos_score\tneg_score\tqid\tpos_pid\tneg_pid", "five columns"),
        ("nan\t3\tq1\tp1\tn2", "finite scores, given nan and 3"),
        ("1\t3\tq1\t\tn2", "three ids, of two passages"),
        ("1\t3\tq1\tp1\tp1", "three ids, of two passages"),
    ],
)
def test_broken_triples_are_named(tmp_path, line, wanted):
    path = tmp_path / "teacher.tsv"
    path.write_text(TRIPLES + line + "\n")
    with pytest.raises(KitError, match=f"teacher.tsv:4: wanted .*{re.escape(wanted)}"):
        load_teacher_triples(path)


def test_triples_of_other_writers(tmp_path):
    path = tmp_path / "teacher.tsv"
    path.write_bytes(b"\xef\xbb\xbf9.5\t3\tq1\tp1\tn1\r\n\r\n")
    assert load_teacher_triples(path).values.tolist() == [[9.5, 3.0]]
    path.write_bytes(b"\n")
    with pytest.raises(KitError, match="a teacher's triples, given an empty file"):
        load_teacher_triples(path)


def test_small_differences_and_the_limit(tmp_path):
    path = tmp_path / "teacher.tsv"
    path.write_text(TRIPLES + "9.55\t3\tq1\tp1\tn4\n")
    assert load_teacher_triples(path).values[0].tolist() == [9.5, -1.25, 3.0, 3.0]
    with pytest.warns(DataWarning, match="teacher.tsv:4: a pair with another score than on an earlier line"):
        assert load_teacher_triples(path, tolerance=0.01).values[0, 0] == 9.5
    with pytest.raises(KitError, match="most: wanted at least 2 passages a question, or None, given 1"):
        load_teacher_triples(path, most=1)


def test_squashed_triples_are_refused(tmp_path):
    path = tmp_path / "teacher.tsv"
    path.write_text("".join(f"0.9{i}\t0.{i}\tq{i}\tp\tn\n" for i in range(10)))
    with pytest.raises(KitError, match=r"teacher.tsv: wanted raw scores .*, given scores that all lie from 0 to 1"):
        load_teacher_triples(path)
    table = load_teacher_triples(path, allow_probabilities=True)
    assert looks_like_probabilities(table) and not looks_like_probabilities(
        table.select(table.question_ids[:9].tolist())
    )
    path.write_text(path.read_text() + "1.5\t0\tq10\tp\tn\n")
    assert len(load_teacher_triples(path)) == 11
