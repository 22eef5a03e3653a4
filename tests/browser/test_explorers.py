"""Every explorer in each front end: all in one page, drawn, taken by keys alone, heard by Python."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

SETUP = """
import numpy as np, torch, kit; torch.set_num_threads(1)
from kit.toy import DATA, build_world
from kit.train import TrainingHistory
from kit.widgets import (AttentionExplorer, EmbeddingExplorer, IndexLab, LossLab, Playground, ScoreDistributions,
                         TrainingView)
world = build_world(generated=0, passages_each=2, questions_each=1)
corpus = kit.data.Corpus(world.passages.values()); questions = world.questions["test"][:4]
bm25 = kit.BM25(corpus); table = bm25.retrieve(questions, 4)
reader = kit.FiDReader.from_pretrained(DATA / "t5", device="cpu")
vectors = np.random.default_rng(0).normal(size=(500, 8)).astype("f4")
scores = ScoreDistributions({'teacher': table, 'student': table}, questions, corpus)
attention = AttentionExplorer(reader, questions, corpus, table)
lab = LossLab([4.0, 2.5, -1.0], [0.0, 1.0, 2.0], labels=['Paris', 'Rome', 'Oslo'])
index = IndexLab(vectors, vectors[:20], specs=['Flat', 'HNSW8'])
training = TrainingView(table=lambda: (table, table.mask), questions=questions, corpus=corpus, display=False)
training(TrainingHistory([{'step': n + 1, 'loss': 1 / (n + 1)} for n in range(20)]))
playground = Playground(corpus, {'BM25': bm25}, reader, questions=questions, k=3)
student = kit.DualEncoder.from_pretrained("toy-bert", device="cpu")
few = kit.data.Corpus([corpus[i] for i in dict.fromkeys(table.passage_ids.ravel().tolist())])
embedding = EmbeddingExplorer({'before': student, 'after': student}, questions, few, table)
"""
# What Python hears shows beside the explorers: the page alone cannot fake it.
HEARD = """
import ipywidgets
heard = ipywidgets.Label('')
line = lambda: f"heard {scores.state['loss']} {training.state['moment']} {index.state['k']}"
for one in (scores, training, index):
    one.observe(lambda change: setattr(heard, 'value', line()), 'state')
heard
"""
CELLS = [SETUP, HEARD, "scores", "attention", "lab", "index", "training", "playground", "embedding"]
PLOTLY = 400_000  # bytes: a message this large holds plotly.js
# Every control that can be used now.
USABLE = """() => {
  const all = ".kit-explorer :is(input, select, textarea, button, summary, [tabindex='0'])";
  const usable = [...document.querySelectorAll(all)].filter((one) => !one.disabled && one.checkVisibility()
    && one.tabIndex >= 0 && !one.closest(".modebar") && !(one.type === "radio" && !one.checked)); // a group is one stop
  usable.forEach((one, number) => { one.dataset.number = number; });
  return usable.map((one) => `${one.tagName} ${one.getAttribute("aria-label") || one.labels?.[0]?.innerText
    || one.innerText || one.type || one.className}`.slice(0, 60));
}"""
FOCUSED = """() => {
  const one = document.activeElement;
  const look = () => { const s = getComputedStyle(one);
    return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.borderColor, s.backgroundColor].join(); };
  const here = look();
  const number = one.dataset?.number;
  if (number === undefined) return null;
  one.blur(); const there = look(); one.focus();
  return { number: Number(number), seen: here !== there };
}"""


def tab_through(page, usable: list[str]) -> dict[int, bool]:
    """The controls that Tab reaches from the first one, and whether each looks otherwise when it has the focus."""
    page.locator("[data-number='0']").focus()
    reached: dict[int, bool] = {}
    for _ in range(3 * len(usable) + 10):
        at = page.evaluate(FOCUSED)
        if at is not None:
            reached[at["number"]] = at["seen"]
        if len(reached) == len(usable):
            break
        page.keyboard.press("Tab")
    return reached


def every_control_is_reached(page) -> None:
    """Tab reaches every control, and shows where it is."""
    usable = page.evaluate(USABLE)
    assert len(usable) > 80
    reached = tab_through(page, usable)
    assert [name for number, name in enumerate(usable) if number not in reached] == [], "Tab does not reach these"
    assert [usable[number] for number, seen in reached.items() if not seen] == [], "their focus cannot be seen"


@pytest.mark.parametrize("kind", ["lab", "notebook7", "voila"])
def test_every_explorer_is_drawn_and_taken_by_keys_alone(kind, request, run_notebook, pictures):
    where = request.getfixturevalue(kind)
    page = run_notebook(where, CELLS, dark=kind == "lab", size=(1366, 6000))
    page.wait_for_function("() => document.querySelectorAll('.kit-chart .main-svg').length >= 10")
    page.wait_for_selector(".at-list .at-row[aria-selected=true]")
    page.wait_for_timeout(1000)
    assert sum(size > PLOTLY for size in page.received) <= 2  # one that a page asked for, one that a training holds
    pictures(page, f"explorers-{kind}")
    if kind == "lab":  # Tab is the browser's own: once is enough
        every_control_is_reached(page)
    keys_are_heard(page)
    indexes_are_measured(page)
    assert [error for error in page.errors if "schema" not in error] == []  # a settings error of Notebook 7's own


def keys_are_heard(page) -> None:
    """Arrow keys move sliders and lists in every front end, the focus stays, and Python hears of it in few bytes."""
    loss = page.get_by_label("loss", exact=True).first
    loss.focus()
    before = sum(page.received)
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    page.get_by_text("reverse_kl(student, teacher) =").wait_for()
    assert loss.evaluate("element => element === document.activeElement")
    page.get_by_label("score of Oslo", exact=True).focus()
    page.keyboard.press("ArrowLeft")  # Notebook 7 takes the arrow keys of ipywidgets' own sliders
    expect(page.get_by_label("score of Oslo, exact number")).to_have_value("1.9")  # drawn a moment after the key
    page.get_by_label("step of the training").focus()
    page.keyboard.press("Home")
    slider = page.locator(".kit-explorer").get_by_label("k (passages)", exact=True)
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("heard reverse_kl 0 11").wait_for()
    rows = page.locator(".at-list")
    rows.focus()
    page.keyboard.press("ArrowDown")
    assert rows.evaluate("element => element.contains(document.activeElement)")
    page.get_by_role("button", name="edit: ").first.focus()  # of the playground's first passage
    page.keyboard.press("Enter")
    page.get_by_label("text", exact=True).fill("Nothing is said here.")
    page.keyboard.press("Control+Enter")
    page.get_by_text("(edited)").wait_for()  # read again by Python
    assert sum(page.received) - before < 60_000


def indexes_are_measured(page) -> None:
    """A wrong setting is one line, the button measures in the background, and the chart grows."""
    nprobe, button = page.get_by_label("nprobe"), page.get_by_role("button", name="measure these indexes")
    for text, line in (("1 many", "nprobe: wanted whole numbers of at least 1"), ("1 16", "searched all together")):
        nprobe.fill(text)
        page.keyboard.press("Tab")
        button.focus()
        page.keyboard.press("Enter")
        page.get_by_text(line).wait_for()
    page.wait_for_function("() => document.querySelectorAll('[data-panel=recall-and-time] .trace').length === 2")
