"""Every explorer in each front end: drawn in one page, driven by keys, heard by Python, plotly.js sent once."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

SETUP = """
import numpy as np, torch
from kit import FiDReader, Passage, Question, ScoreTable
from kit.toy import DATA
from kit.widgets import AttentionExplorer, LossLab, ScoreDistributions
torch.set_num_threads(1)
rng = np.random.default_rng(0)
ids = [f'p{n}' for n in range(10)]
corpus = {i: Passage(i, f'Title {i}', 'text') for i in ids}
questions = [Question(f'q{n}', f'Question {n}?', ('x',)) for n in range(30)]
base = rng.normal(size=(30, 10)) + 2 * np.eye(30, 10)
made = lambda name, noise: ScoreTable(name, [q.id for q in questions], [ids] * 30, base + noise)
tables = {'teacher': made('t', 0), 'before': made('b', rng.normal(size=(30, 10)) * 3), 'after': made('a', 0.5)}
scores = ScoreDistributions(tables, questions, corpus, gold={f'q{n}': {f'p{n}'} for n in range(10)})
texts = {'p0': Passage('p0', 'France', 'paris is the capital .'), 'p1': Passage('p1', 'Italy', 'rome is a town .')}
asked = Question('q', 'what is the capital of france ?', ('paris',))
reader = FiDReader.from_pretrained(DATA / 't5', device='cpu')
attention = AttentionExplorer(reader, asked, texts, ScoreTable('bm25', ['q'], [['p0', 'p1']], [[2.0, 1.0]]))
lab = LossLab([4.0, 2.5, -1.0], [0.0, 1.0, 2.0], labels=['Paris', 'Rome', 'Oslo'])
"""
# What Python hears shows beside the explorers: the page alone cannot fake it.
HEARD = """
import ipywidgets
heard = ipywidgets.Label('')
said = lambda state: f"heard {state['question']} {state['loss']}"
scores.observe(lambda change: setattr(heard, 'value', said(change['new'])), 'state')
attention.observe(lambda change: setattr(heard, 'value', f"heard {change['new']['passage']}"), 'state')
heard
"""
PLOTLY = 400_000  # bytes: a message this large holds plotly.js


@pytest.mark.parametrize("kind", ["lab", "notebook7", "voila"])
def test_explorers_are_drawn_and_python_hears_keys(kind, request, run_notebook, pictures):
    where = request.getfixturevalue(kind)
    page = run_notebook(where, [SETUP, "scores", HEARD, "lab", "attention"], dark=kind == "lab", size=(1366, 2600))
    page.wait_for_function("() => document.querySelectorAll('.kit-chart .main-svg').length >= 5")
    sent = sum(size > PLOTLY for size in page.received)
    loss = page.get_by_label("loss", exact=True).first
    loss.focus()
    page.keyboard.press("ArrowDown")
    page.get_by_text("reverse_kl(after, teacher) =").wait_for()
    assert loss.evaluate("element => element === document.activeElement")
    before = sum(page.received)
    page.get_by_label("question", exact=True).first.select_option(label="q3: Question 3?")
    page.get_by_text("★ Title p3").first.wait_for()
    page.get_by_text("heard q3 reverse_kl").wait_for()
    assert sum(page.received) - before < 25_000 and sent == 1
    page.get_by_label("score of Oslo", exact=True).focus()
    page.keyboard.press("ArrowLeft")  # Notebook 7 takes the arrow keys of ipywidgets' own sliders
    expect(page.get_by_label("score of Oslo, exact number")).to_have_value("1.9")  # drawn a moment after the key
    page.locator(".at-list").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("End")
    page.get_by_text(re.compile("heard p[01]")).wait_for()
    pictures(page, f"explorers-{kind}")
    assert [error for error in page.errors if "schema" not in error] == []  # a settings error of Notebook 7's own
