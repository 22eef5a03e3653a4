"""Keys alone: in each front end every control of every explorer is reached by Tab, shows it, and takes its own keys."""

from __future__ import annotations

import pytest

SETUP = """
import numpy as np, torch, kit; torch.set_num_threads(1)
from kit.toy import DATA, build_world
from kit.widgets import AttentionExplorer, IndexLab, LossLab, Playground, ScoreDistributions
world = build_world(generated=0, passages_each=2, questions_each=1)
corpus = kit.data.Corpus(world.passages.values()); questions = world.questions["test"][:4]
bm25 = kit.BM25(corpus); table = bm25.retrieve(questions, 4)
reader = kit.FiDReader.from_pretrained(DATA / "t5", device="cpu")
vectors = np.random.default_rng(0).normal(size=(500, 8)).astype("f4")
"""
EXPLORERS = {
    "attention": "AttentionExplorer(reader, questions, corpus, table)",
    "scores": "ScoreDistributions({'teacher': table, 'student': table}, questions, corpus)",
    "loss": "LossLab([3.0, 1.0, 0.0])",
    "playground": "Playground(corpus, {'BM25': bm25}, reader, questions=questions, k=3)",
    "index": "IndexLab(vectors, vectors[:20], specs=['Flat', 'HNSW8'])",
}
# Every control that can be used now; sliders of ipywidgets are handles of noUiSlider.
WANTED = """() => {
  const all = ":is(.kit-own-keys, .kit-explorer) :is(input, select, textarea, button, summary, [tabindex='0'])";
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


def tab_through(page, wanted: list[str]) -> dict[int, bool]:
    """The controls that Tab reaches from the first one, and whether each looks otherwise when it has the focus."""
    page.locator("[data-number='0']").focus()
    found: dict[int, bool] = {}
    for _ in range(3 * len(wanted) + 10):
        at = page.evaluate(FOCUSED)
        if at is not None:
            found[at["number"]] = at["seen"]
        if len(found) == len(wanted):
            break
        page.keyboard.press("Tab")
    return found


@pytest.mark.parametrize("kind", ["lab", "notebook7", "voila"])
def test_every_control_is_reached_by_tab_shows_it_and_takes_arrow_keys(kind, request, run_notebook, pictures):
    where = request.getfixturevalue(kind)
    page = run_notebook(where, [SETUP, *EXPLORERS.values()], size=(1200, 5000))
    page.wait_for_function("() => document.querySelectorAll(':is(.kit-figure, .kit-chart) .main-svg').length >= 6")
    page.wait_for_selector(".at-list .at-row[aria-selected=true]")
    page.wait_for_timeout(1000)
    wanted = page.evaluate(WANTED)
    assert len(wanted) > 60
    found = tab_through(page, wanted)
    pictures(page, f"keys-{kind}")
    assert [name for number, name in enumerate(wanted) if number not in found] == [], "Tab does not reach these"
    assert [wanted[number] for number, seen in found.items() if not seen] == [], "their focus cannot be seen"
    arrow_keys(page)


def arrow_keys(page) -> None:
    """Arrow keys move a slider and a dropdown, and the focus stays where it is."""
    box = page.locator(".kit-explorer").get_by_label("k (passages), exact number")
    before = int(box.input_value())
    page.locator(".kit-explorer").get_by_label("k (passages)", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => [...document.querySelectorAll('input')].some((one) => one.value === '{before + 2}')")
    assert int(box.input_value()) == before + 2
    loss = page.get_by_label("loss", exact=True).first
    loss.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    assert loss.locator("option:checked").inner_text() == "reverse_kl" and loss.evaluate(
        "element => element === document.activeElement"
    )
    page.get_by_text("reverse_kl(student, teacher) =").wait_for()
