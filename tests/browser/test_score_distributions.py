"""Score distributions in JupyterLab and Voila: drawn, a question chosen, a loss chosen by keys, few bytes."""

from __future__ import annotations

CELLS = [
    "# Score distributions",
    "import numpy as np\nfrom kit import Passage, Question, ScoreTable\nfrom kit.widgets import ScoreDistributions\n"
    "rng = np.random.default_rng(0)\nids = [f'p{n}' for n in range(10)]\n"
    "corpus = {i: Passage(i, f'Title {i}', 'text') for i in ids}\n"
    "questions = [Question(f'q{n}', f'Question {n}?', ('x',)) for n in range(30)]\n"
    "scores = rng.normal(size=(30, 10)) + 2 * np.eye(30, 10)\n"
    "made = lambda name, noise: ScoreTable(name, [q.id for q in questions], [ids] * 30, scores + noise)\n"
    "tables = {'teacher': made('t', 0), 'before': made('b', rng.normal(size=(30, 10)) * 3), 'after': made('a', 0.5)}\n"
    "gold = {f'q{n}': {f'p{n}'} for n in range(10)}",
    "ScoreDistributions(tables, questions, corpus, gold=gold)",
]


def drawn(page) -> None:
    page.wait_for_function("() => document.querySelectorAll('.kit-figure .main-svg').length >= 5")


def test_lab_shows_all_questions_then_one(lab, run_notebook, pictures):
    page = run_notebook(lab, CELLS, dark=True, size=(1200, 1800))
    drawn(page)
    assert page.locator(".kit-figure").nth(1).get_attribute("aria-label").startswith("scores of after (student)")
    before = sum(page.received)
    page.get_by_label("question", exact=True).select_option(label="q3: Question 3?")
    page.get_by_text("★ Title p3").first.wait_for()
    page.wait_for_timeout(2000)
    assert sum(page.received) - before <= 25_000  # five pictures and the table
    page.get_by_label("loss", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.get_by_text("reverse_kl(after, teacher) =").wait_for()
    box = page.get_by_label("teacher temp., exact number")
    box.fill("4")
    box.press("Tab")
    page.wait_for_timeout(2000)
    assert box.input_value() == "4"  # not rounded to a step of the slider
    pictures(page, "score-distributions-dark")
    assert page.errors == []
