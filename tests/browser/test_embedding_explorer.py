"""The embedding explorer in the page alone: the map, its points, the words of a passage, before and after."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from kit.encoder import DualEncoder
from kit.retrieve import BM25
from kit.widgets import EmbeddingExplorer

POINTS = ".scatterlayer .trace:nth-of-type({}) path.point"  # 3: passages, 4: questions
WORDS = "[data-panel=words] .at-passage:visible"


@pytest.fixture
def explorer(world, corpus, small_encoder, small_reader) -> EmbeddingExplorer:
    questions = world.questions["test"][:6]
    after = DualEncoder.from_config(small_encoder.question_tower.config, small_encoder.tokenizer, seed=1)
    table = BM25(corpus).retrieve(questions, 5)
    gold = {one.id: table.passages_of(one.id)[1:2] for one in questions}
    students = {"before": small_encoder, "after": after}
    return EmbeddingExplorer(students, questions, corpus, table, reader=small_reader, gold=gold)


def click(page, trace: int, number: int) -> None:
    box = page.locator(POINTS.format(trace)).nth(number).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_points_bring_questions_and_passages_with_their_words(explorer, open_file):
    page = open_file(explorer)
    page.wait_for_selector(".kit-chart .main-svg")
    questions, passages = list(explorer._questions), list(explorer._passages)
    assert page.locator(POINTS.format(4)).count() == 6 and page.locator(POINTS.format(3)).count() == len(passages)
    gold = explorer._gold[questions[0]][0]
    expect(page.locator(WORDS)).to_have_count(3)
    expect(page.locator(WORDS).nth(0)).to_contain_text(f"[{gold}]")
    click(page, 4, 3)
    page.wait_for_function(f"() => location.hash === '#question={questions[3]}'")
    expect(page.locator("[data-panel=passages] h4")).to_contain_text(explorer._questions[questions[3]].text)
    rows = explorer._rows
    chosen = next(i for i in rows[questions[5]] if i not in rows[questions[3]])
    page.get_by_label("passage", exact=True).select_option(str(passages.index(chosen) + 1))
    expect(page.locator(WORDS).nth(1)).to_contain_text(f"[{chosen}]")
    page.wait_for_function(f"() => location.hash.endsWith('passage={chosen}')")
    question = page.evaluate("() => new URLSearchParams(location.hash.slice(1)).get('question')")
    assert chosen in rows[question or questions[0]]


def test_a_word_says_what_it_adds_and_the_map_goes_back_to_before(explorer, open_file):
    page = open_file(explorer)
    page.wait_for_selector(".kit-chart .main-svg")
    word = page.locator(WORDS).nth(0).locator(".at-word").nth(1)
    adds = word.get_attribute("title")
    word.click()
    expect(page.get_by_role("status").filter(has_text="adds")).to_contain_text(f"“{word.inner_text()}” adds {adds} of")
    points = page.locator(POINTS.format(4)).first
    after = points.get_attribute("transform")
    page.get_by_label("before", exact=True).check()
    expect(points).not_to_have_attribute("transform", after)
    page.get_by_role("button", name="undo").click()
    expect(points).to_have_attribute("transform", after)


def test_a_page_without_a_questions_words_says_so_and_keeps_its_map(explorer, open_file, monkeypatch):
    monkeypatch.setattr("kit.widgets.embedding_explorer.EXPORTED", 0)
    page = open_file(explorer)
    page.get_by_text("this page does not hold that").wait_for()
    expect(page.locator(WORDS)).to_have_count(0)
    assert page.locator(POINTS.format(4)).count() == 6
    expect(page.locator("[data-panel=passages] tbody tr")).to_have_count(5)


@pytest.mark.parametrize(("size", "dark"), [((390, 800), False), ((1366, 768), True), ((1366, 768), False)])
def test_it_fits_its_page(explorer, open_file, pictures, size, dark):
    page = open_file(explorer, size=size, dark=dark)
    page.wait_for_selector(".kit-chart .main-svg")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    pictures(page, f"embedding-{size[0]}-{'dark' if dark else 'light'}")
