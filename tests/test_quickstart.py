"""The whole loop on a small plan: every figure is there, and can be computed again from the files that it leaves."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html import unescape

import nbformat
import numpy as np
import pandas
import pytest

from kit.data import load_passages, load_questions
from kit.files import locked, read_json, write_json
from kit.metrics import answer_recall, exact_match
from kit.pages.execute import execute_notebook
from kit.pages.notebook import Page, render_notebook
from kit.quickstart import run_quickstart, write_report
from kit.quickstart.measures import gold_on_top
from kit.quickstart.run_folder import RunFolder
from kit.rounds import RoundsPlan
from kit.train import Distillation, Optimisation, ReaderTraining
from kit.types import KitError, ScoreTable

PLAN = RoundsPlan(
    reader=ReaderTraining(Optimisation(steps=2, learning_rate=1e-5), questions=2, n_context=2),
    student=Distillation(Optimisation(steps=2, learning_rate=1e-5), questions=2, passages=4),
    score_questions=20,
    read_questions=60,
)


@pytest.fixture(scope="module")
def world(world):
    """A part of the encyclopaedia with everything that its questions need."""
    questions = {split: rows[:120] for split, rows in world.questions.items()}
    needed = {name for rows in questions.values() for question in rows for name in world.gold[question.id]}
    others = [name for name in world.passages if name not in needed][:200]
    passages = {name: passage for name, passage in world.passages.items() if name in {*needed, *others}}
    return replace(world, questions=questions, passages=passages)


@pytest.fixture(scope="module", autouse=True)
def smaller_measurements():
    """Fewer questions for each figure; what is computed from them is the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kit.quickstart.run.SAMPLE", 20)
        patch.setattr("kit.quickstart.measures.EVIDENCE", 40)
        patch.setattr("kit.quickstart.measures.COUNTERFACTUAL", 40)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory, world):
    folder = tmp_path_factory.mktemp("quickstart")
    return folder, run_quickstart(folder, plan=PLAN, world=world, log=lambda line: None, progress=False)


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


def test_the_worked_example_and_distributions_hold_together(run, world):
    folder, _ = run
    example = read_json(folder / "worked_example.json")
    for passage in example["passages"]:
        assert len(passage["tokens"]) == len(passage["probabilities"]) == len(passage["logits"])
        assert passage["score"] == pytest.approx(np.mean(passage["logits"]), abs=1e-3)
        assert passage["share"] == pytest.approx(sum(passage["probabilities"]))
        framed = "".join(passage["tokens"][place] for place in passage["answer"]).replace("▁", " ").split()
        assert set(framed) <= set(example["prediction"].split())
    assert sum(passage["share"] for passage in example["passages"]) == pytest.approx(1, abs=1e-3)
    assert any(passage["answer"] for passage in example["passages"])
    frame = pandas.read_parquet(folder / "distributions.parquet")
    first = frame.iloc[0]
    assert first.gold == (first.passage_id in world.gold[first.question_id])
    scores = ScoreTable.load(folder / "round-0" / "test.scores.parquet").select([first.question_id])
    assert first.teacher == scores.values[0, scores.passages_of(first.question_id).index(first.passage_id)]
    assert frame[["teacher", "before", "after"]].notna().all().all()


def test_intervals_hold_their_means(run):
    _, figures = run
    for means, bounds in (
        (figures["evidence"], figures["evidence_intervals"]),
        (figures["reader"]["em"], figures["reader"]["em_intervals"]),
    ):
        assert means.keys() == bounds.keys()
        assert all(low <= means[name] <= high and 0 <= low <= high <= 1 for name, (low, high) in bounds.items())


def text_of(html):
    without = re.sub(r"<script.*?</script>|<style.*?</style>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", without)))


def test_the_report_is_one_page_that_says_what_was_measured(run):
    folder, figures = run
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert len(html) < 1_000_000 and html.count('<figure class="kit-plot">') == 10
    assert not re.search(r"<script[^>]*\ssrc|<link|@import|url\(", html) and "default-src 'none'" in html
    text, example = text_of(html), read_json(folder / "worked_example.json")
    for number in (figures["reader"]["em"]["all"], figures["evidence"]["bm25"], figures["rounds"][-1]["recall"]["20"]):
        assert f"{number:.1%}" in text
    assert f"{figures['corpus']['passages']:,} passages" in text and example["question"] in text
    most = max(example["passages"], key=lambda passage: passage["share"])
    place = 1 + example["passages"].index(most)
    assert f"The reader looks most at passage {place}, which has {most['share']:.1%} of the attention" in text
    parts = (
        "Retrieved from the whole corpus",
        "What the reader reads",
        "Where the reader looks",
        "What the student learns",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def small_run(run, tmp_path):
    """A copy of the run's files that the report reads, without the report."""
    for name in ("figures.json", "worked_example.json", "passages.json", "training.json", "distributions.parquet"):
        shutil.copy(run[0] / name, tmp_path)
    return tmp_path


def test_the_notebook_of_a_report_is_run_again_in_its_folder_and_escapes_what_it_reads(run, tmp_path):
    nasty = "</script><b>Île & 'co'</b>"
    folder = small_run(run, tmp_path)
    example = read_json(folder / "worked_example.json")
    example |= {"question": nasty, "prediction": nasty, "answers": [nasty]}
    for passage in example["passages"]:
        passage |= {"title": nasty, "text": nasty, "tokens": [nasty] * len(passage["tokens"]), "gold": False}
    write_json(folder / "worked_example.json", example)
    write_json(
        folder / "passages.json", [{"title": nasty, "text": nasty, "questions": [{"text": nasty, "answer": "a"}]}]
    )
    shutil.copy(run[0] / "report.ipynb", folder)
    done = execute_notebook(folder / "report.ipynb")
    html = render_notebook(done.notebook, Page(nasty))
    assert "<b>Île" not in html and "</script><b" not in html
    assert "None of these passages is gold" in text_of(html) and "(right by exact match)" in text_of(html)
    assert len(nbformat.writes(done.notebook)) < 400_000


def test_a_report_names_what_a_run_lacks(run, tmp_path):
    folder = small_run(run, tmp_path)
    (folder / "training.json").unlink()
    with pytest.raises(KitError, match=r"report\.ipynb, cell r02: .*training\.json"):
        write_report(folder)
    assert not (folder / "report.html").exists() and not (folder / "report.ipynb").exists()


def test_a_finished_run_is_begun_anew_beside_a_thesis_and_without_what_reports_need(run, world, monkeypatch):
    folder, figures = run
    monkeypatch.setattr("kit.quickstart.report.NEEDS", ("no_such_package",))
    lines = []
    (folder / "thesis").mkdir()
    for name in ("thesis.tex", "thesis/figures.json"):
        (folder / name).write_text("years of work")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again = run_quickstart(folder, plan=PLAN, world=world, log=lines.append, progress=False)
    assert again["rounds"] == figures["rounds"] and again["evidence"] == figures["evidence"]
    assert not (folder / "report.html").exists() and "pip install 'kit[course]'" in lines[-1]
    kept = {
        path.relative_to(folder).as_posix()
        for path, time in before.items()
        if path.exists() and path.stat().st_mtime_ns == time
    }
    assert kept == {".lock", "thesis.tex", "thesis/figures.json"}


SETTINGS = {"seed": 1}


def finished_run(folder):
    """A run that made one file and one folder."""
    with RunFolder.opened(folder, SETTINGS) as run:
        run.claim("round-1/")
        with run.writing("passages.tsv") as missing:
            assert missing
            (folder / "passages.tsv").write_text("id\ttext\ttitle\n")
        with locked(folder / "round-1" / "reader"):
            (folder / "round-1" / "reader" / "config.json").write_text("{}")
        run.finish()
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_leaves_nothing_of_its_own_and_all_else(tmp_path):
    folder = finished_run(tmp_path / "run")
    (folder / "thesis.tex").write_text("years of work")
    with RunFolder.opened(folder, {"seed": 2}):
        pass
    assert contents(folder).keys() == {".lock", "run.json", "thesis.tex"} and not (folder / "round-1").exists()


def test_a_stopped_run_goes_on_with_its_files_under_its_settings_alone(tmp_path):
    with pytest.raises(OSError), RunFolder.opened(tmp_path, SETTINGS) as run:
        with run.writing("passages.tsv"):
            (tmp_path / "passages.tsv").write_text("one")
        with run.writing("figures.json"):
            raise OSError("a full disk")
    before = contents(tmp_path)
    with pytest.raises(KitError, match=r"run\.json: wanted the settings that this run was begun with"):
        RunFolder.opened(tmp_path, {"seed": 2}).__enter__()
    assert contents(tmp_path) == before
    with RunFolder.opened(tmp_path, SETTINGS) as again:
        with again.writing("passages.tsv") as missing:
            assert not missing
        with again.writing("figures.json") as missing:
            assert missing
            (tmp_path / "figures.json").write_text("{}")


def test_a_folder_in_which_a_run_goes_on_is_refused(tmp_path):
    refused = pytest.raises(KitError, match="wanted a folder that no other process works in, given one in use now")
    with RunFolder.opened(tmp_path, SETTINGS), refused, RunFolder.opened(tmp_path, SETTINGS):
        pass


def write(name, text="mine"):
    def change(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (write("passages.tsv"), "passages.tsv: wanted the file as the run left it (or move it away), given one that"),
        (write("round-1/reader/config.json"), "config.json: wanted the file as the run left it"),
        (write("round-1/notes.md"), "notes.md: wanted the run's own files alone in its folders"),
        (write("run.json", "{"), "run.json: wanted JSON, given a file that does not read"),
        (write("run.json", "{}"), "run.json: wanted the manifest of a kit quickstart, given a file that does not read"),
        (write("run.json", '{"kind": "my run", "settings": 0, "finished": true, "files": {}}'), "given that of"),
        (write("run.json", '{"kind": "kit quickstart", "settings": {}, "finished": true, "files": {"../a": "1"}}'),
         "run.json: wanted names of files in its folder, given '../a'"),
        (lambda folder: (folder / "run.json").unlink(), "run: wanted a new or empty folder, or one with the run.json"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_all_the_runs_own_is_left_as_it_is(tmp_path, change, message):
    folder = finished_run(tmp_path / "run")
    write("../a")(folder)
    change(folder)
    before = contents(tmp_path)
    with pytest.raises(KitError, match=re.escape(message)):
        RunFolder.opened(folder, SETTINGS).__enter__()
    assert contents(tmp_path) == before


def test_a_name_that_another_file_has_is_refused(tmp_path):
    refused = pytest.raises(KitError, match=r"figures\.json: wanted a name that is free for the run")
    with RunFolder.opened(tmp_path, SETTINGS) as run:
        write("figures.json")(tmp_path)
        for call in (lambda: run.claim("figures.json"), lambda: run.writing("figures.json").__enter__()):
            with refused:
                call()
    assert (tmp_path / "figures.json").read_text() == "mine"
