"""The report of a quickstart run: one HTML file for a student to read and a lecturer to show.

Every number and picture comes from the files of the run; the file needs nothing from outside itself. Trains nothing.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from kit.files import written_aside
from kit.report.files import Run, read_run
from kit.report.page import bullets, heading, page, paragraph, percent, section, table, tiles
from kit.report.results import distribution_parts, evidence_parts, how_sure, last_round, result_parts
from kit.report.story import story_parts

TITLE = "A reader, what it looks at, and a retriever taught by it"
SECTIONS = {
    "headline": "The run in six figures",
    "corpus": "The corpus",
    "story": "One question, followed through",
    "evidence": "Does attention mean relevance?",
    "distributions": "What is learned: scores of teacher and student",
    "results": "Round by round",
    "how": "How this was made",
}
DEVIATIONS = (
    "The reader starts from a small T5 that was pre-trained for this kit on exercises about imagined worlds. In the "
    "first part of that pre-training a guide, a further term of the loss, rewarded attention to the passage and the "
    "words that hold the answer; it fades out. Google's T5, where the paper begins, had no guide: that attention "
    "means relevance here is in part taught beforehand, on other passages than these. Fine-tuning sees answers "
    "alone.",
    "The student starts from a small BERT that was pre-trained for this kit without questions, answers or reader, "
    "to find the passage that a sentence was taken from; the paper starts from BERT as it is.",
    "The passages that the reader scores for the student's training are the best retrieved ones and some drawn from "
    "the whole corpus, so that a small student does not forget what is far off; the paper takes retrieved ones alone.",
    "Everything is small: the corpus, the passages, the number of passages read, and both models. The figures "
    "show how the method works, not how well it does on Wikipedia.",
)
FILES = {
    "figures.json": "the figures of this page",
    "story.json": "the question that is followed through",
    "distributions.parquet": "scores of teacher and student over the same passages of a sample of test questions",
    "training.json": "losses, step by step",
    "passages.json": "the sample of the corpus",
}


def write_report(folder: str | Path) -> Path:
    """The path of `folder`/report.html, made from the files that `kit quickstart` left in `folder`.

    One file with plotly.js in it (about 5 MB) and no request to anywhere. A file that is missing, or lacks something,
    is a `KitError` that names it, and no report is left.
    """
    run = read_run(folder)
    path = run.folder / "report.html"
    html = page(TITLE, report_parts(run))
    with written_aside(path) as aside:
        aside.write_text(html, encoding="utf-8")
    return path


def report_parts(run: Run) -> list[str]:
    """The report's HTML: a title, a list of contents and the sections."""
    made = {
        "headline": _headline(run.figures),
        "corpus": _corpus(run),
        "story": story_parts(run.story),
        "evidence": evidence_parts(run.figures),
        "distributions": distribution_parts(run),
        "results": result_parts(run),
        "how": _how(run),
    }
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title in SECTIONS.items())
    return [
        f"<header><h1>{TITLE}</h1>",
        paragraph(
            f"In {_seconds(run.figures['seconds'])} this run trained a reader to answer questions from passages, "
            "took the reader's attention for a score of how relevant each passage is, and taught a small retriever "
            "these scores (FiD and FiD-KD, at toy scale). Everything below was measured in the run itself, on test "
            "questions about entities that the training questions do not ask for."
        ),
        f"<nav><ol>{links}</ol></nav></header>",
        "<main>",
        *(section(name, SECTIONS[name], *parts) for name, parts in made.items()),
        "</main>",
    ]


def _headline(figures: dict[str, Any]) -> list[str]:
    reader, attention, last = figures["reader"], figures["attention"], last_round(figures)
    k = min(map(int, last["recall"]))
    first, before, after = (percent(stage["recall"][str(k)]) for stage in (figures["bm25"], figures["before"], last))
    whole, closed = percent(reader["em"]["all"]), percent(reader["em_closed_book"])
    rows = [
        ("exact match of the reader", whole, f"{percent(reader['before'])} before fine-tuning"),
        ("exact match without the right passages", closed, "imagined worlds: nothing to remember"),
        (
            "gold on top by attention",
            percent(attention["gold_top1"]),
            f"{percent(attention['bm25_gold_top1'])} by BM25",
        ),
        (f"recall at {k} of the taught student", after, f"BM25 {first}, student before {before}"),
        ("time", _seconds(figures["seconds"]), "all stages together"),
        ("memory at most", f"{figures['peak_memory_mb']:,.0f} MB", "of the whole process"),
    ]
    return [
        tiles(rows),
        paragraph(
            "Exact match is the share of questions whose answer is, word for word, an accepted one. Recall at k is "
            "the share of questions with an answer among the first k passages; a gold passage is one that holds the "
            f"answer.{how_sure(reader)}"
        ),
    ]


def _corpus(run: Run) -> list[str]:
    corpus = run.figures["corpus"]
    questions = corpus["questions"]
    samples = [
        f'<div class="card"><p><strong>{escape(sample["title"])}</strong>: {escape(sample["text"])}</p>'
        + bullets(f"{question['text']} – {question['answer']}" for question in sample["questions"])
        + "</div>"
        for sample in run.samples
    ]
    return [
        paragraph(
            f"A small encyclopaedia of {corpus['passages']:,} passages, {corpus['words']:.0f} words each on average, "
            f"about {corpus['entities']['real']:,} real entities and {corpus['entities']['made']:,} made-up ones, "
            f"which nobody can know by heart. Train, dev and test questions ({questions['train']:,}, "
            f"{questions['dev']:,} and {questions['test']:,}) ask about different entities, so a reader must read."
        ),
        heading("Some passages, and questions that they answer"),
        *samples,
    ]


def _how(run: Run) -> list[str]:
    figures = run.figures
    stages = [[stage["name"], f"{stage['seconds']:.1f}"] for stage in figures["stages"]]
    files = [[name, what, f"{(run.folder / name).stat().st_size / 1e3:,.1f}"] for name, what in FILES.items()]
    return [
        paragraph(
            "`kit quickstart` ran the stages below and left the files; the same command makes them again. The loop "
            "as such is `kit rounds`, and the notebooks go through each stage slowly."
        ),
        table("Stages", ["stage", "seconds"], stages),
        table("Files beside this page", ["file", "holds", "kB"], files, words=2),
        heading("What differs from the papers"),
        bullets(DEVIATIONS),
        paragraph(
            "Papers: Izacard and Grave, Leveraging Passage Retrieval with Generative Models for Open Domain "
            "Question Answering (FiD, arXiv 2007.01282); Izacard and Grave, Distilling Knowledge from Reader to "
            "Retriever for Question Answering (FiD-KD, arXiv 2012.04584).",
            "soft",
        ),
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
