"""The table of several seeds says what the files say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rounds_table import main, results_table, rounds_figures
from tables import run_command

from kit.data import save_passages, save_questions
from kit.shipped import DATA
from kit.types import KitError, Passage, Question, ScoreTable

PAGE = Path(__file__).parent.parent / "docs" / "toy-results.md"


def write_run(folder, hits):
    """A run of two questions: BM25 finds none first, round 1 finds `hits` of them first."""
    passages = [Passage("1", "a", "right"), *(Passage(str(n), "b", "wrong") for n in range(2, 23))]
    questions = [Question("q1", "?", ("right",)), Question("q2", "??", ("right",))]
    save_passages(folder / "passages.tsv", passages)
    save_questions(folder / "questions.test.jsonl", questions)
    rest = [str(n) for n in range(3, 21)]
    scores = [[-float(n) for n in range(20)]] * 2

    def table(orders):
        return ScoreTable("t", ["q1", "q2"], [[*order, *rest] for order in orders], scores)

    last, first = ["2", "1"], ["1", "2"]
    table([last, last]).save(folder / "round-0" / "test.parquet")
    table([last, last]).save(folder / "before.parquet")
    table([first if n < hits else last for n in range(2)]).save(folder / "round-1" / "test.parquet")
    em = {"all": 0.5}
    figures = {
        "reader": {"em": em, "before": 0.25, "em_closed_book": 0.0},
        "attention": {"gold_top1": 0.9, "bm25_gold_top1": 0.6},
        "evidence": {"all": 0.9},
        "rounds": [{"em": 0.75}],
        "seconds": 10,
        "peak_memory_mb": 100,
    }
    (folder / "figures.json").write_text(json.dumps(figures))


def test_recall_is_computed_from_the_tables(tmp_path):
    for seed, hits in enumerate((1, 2)):
        write_run(tmp_path / f"seed-{seed}", hits)
    text = results_table([tmp_path / "seed-0", tmp_path / "seed-1"])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert next(line for line in lines if line[:2] == ["BM25", "1"])[-1] == "0.0"
    assert next(line for line in lines if line[:2] == ["round 1", "1"])[-1] == "75.0"
    change = next(line for line in lines if line[:3] == ["BM25", "round 1", "1"])
    assert change[3].startswith("+50.0 ") and change[4].startswith("+100.0 ")
    assert ["exact match, closed book", "0.0", "0.0", "0.0"] in lines


def test_one_command_writes_the_page_and_the_notebooks_file(tmp_path):
    write_run(tmp_path / "seed-0", 1)
    page, rounds = tmp_path / "page.md", tmp_path / "rounds.json"
    page.write_text("above\n<!-- toy results -->\nold\n<!-- end of toy results -->\nbelow\n")
    main([tmp_path / "seed-0"], page, rounds)
    table = results_table([tmp_path / "seed-0"])
    assert page.read_text() == f"above\n<!-- toy results -->\n{table}\n<!-- end of toy results -->\nbelow\n"
    assert json.loads(rounds.read_text()) == rounds_figures([tmp_path / "seed-0"])


def test_the_page_and_the_notebooks_file_are_of_the_same_runs():
    page = PAGE.read_text(encoding="utf-8").split("<!-- toy results -->")[1]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    for number, run in enumerate(json.loads((DATA / "results" / "rounds.json").read_text())["runs"]):
        for row in run["rounds"]:
            for k, recall in row["recall"].items():
                cell = next(line for line in lines if line[:2] == [row["retriever"], k])[2 + number]
                assert cell == "{mean:.1f} ({low:.1f} to {high:.1f})".format(**{n: 100 * v for n, v in recall.items()})


def test_an_unfinished_run_is_named(tmp_path):
    with pytest.raises(KitError, match="seed-0: wanted a finished run of kit quickstart"):
        results_table([tmp_path / "seed-0"])


def test_a_mistake_on_the_command_line_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["rounds_table.py", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        run_command(main)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error == f"error: {tmp_path}: wanted a finished run of kit quickstart, given no figures.json\n"


def test_the_figures_of_each_round_are_those_of_the_tables(tmp_path):
    write_run(tmp_path / "seed-0", 1)
    (run,) = rounds_figures([tmp_path / "seed-0"])["runs"]
    assert (run["run"], run["questions"]) == ("seed-0", 2)
    rows = {row["retriever"]: row for row in run["rounds"]}
    assert rows["BM25"]["recall"]["1"]["mean"] == 0.0 and rows["BM25"]["em"] == 0.5
    assert rows["round 1"]["recall"]["1"] == {"mean": 0.5, "low": 0.0, "high": 1.0}
    assert rows["round 1"]["em"] == 0.75 and rows["student before"]["em"] is None
