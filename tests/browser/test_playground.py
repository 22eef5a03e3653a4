"""The playground as a page alone: what is computed stays alive, the trail of changes, what a page cannot read."""

from __future__ import annotations

import pytest

import kit
from kit.toy import DATA
from kit.types import Passage, Question
from kit.widgets import Playground

ROW = ".pg-row:not(.pg-heads)"


@pytest.fixture
def playground() -> Playground:
    texts = {"France": "paris is the capital of france .", "Italy": "rome is the capital of italy .",
             "Norway": "oslo is the capital of norway ."}  # fmt: skip
    corpus = kit.data.Corpus([Passage(f"p{n}", title, text) for n, (title, text) in enumerate(texts.items())])
    reader = kit.FiDReader.from_pretrained(DATA / "t5", device="cpu")
    questions = [Question("a", "what is the capital of france ?", ("paris",)), Question("b", "what of norway ?")]
    return Playground(corpus, {"BM25": kit.BM25(corpus)}, reader, questions=questions, k=3)


def test_passages_are_dropped_and_undone_and_the_trail_says_what_became_of_the_answer(playground, open_file):
    page = open_file(playground)
    page.wait_for_selector(ROW)
    reading = playground.reading
    assert page.inner_text(".pg-answer") == reading.answer
    effects = [one.inner_text() for one in page.locator(f"{ROW} .kit-bar:nth-child(4) b").all()]
    assert [float(one.replace("−", "-")) for one in effects] == pytest.approx(
        reading.effect.tolist(), rel=0.01, abs=1e-3
    )
    page.get_by_role("button", name="take away: France").click()
    page.get_by_text("2 passages").first.wait_for()
    rows = [row.split("\t") for row in page.locator("[data-panel=trail] tbody tr").all_inner_texts()]
    playground.set(passages=["p1", "p2"])
    assert [row[1] for row in rows] == ["3 passages of BM25", "without A"]
    assert [row[2] for row in rows] == [reading.answer, playground.reading.answer]
    assert page.locator(".pg-before").count() == 4
    page.get_by_role("button", name="undo").click()
    page.get_by_text("3 passages").first.wait_for()
    page.get_by_role("button", name="read later: France").click()
    page.get_by_text("this page does not hold that").wait_for()
    page.errors.clear()  # it is told on the console too


def test_another_question_is_picked_and_a_passage_unfolds(playground, open_file, pictures):
    page = open_file(playground, size=(390, 844))
    page.wait_for_selector(ROW)
    page.get_by_label("pick a question").select_option("what of norway ?")
    page.locator(".pg-columns summary").first.click()
    assert page.locator(".pg-columns details[open] p").first.is_visible()
    page.wait_for_function("() => location.hash.includes('norway')")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert page.get_by_role("button", name="write a passage").is_hidden()  # an exported page does not read
    pictures(page, "playground-390")
