"""A training in the page alone (its scrubber), and a real one in JupyterLab: live, interrupted, reopened."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kit import Passage, Question, ScoreTable
from kit.pages.figures import MIME
from kit.train import TrainingHistory
from kit.widgets import TrainingView

from .front_ends import open_page, saved, wait_until_idle

SETUP = """
from transformers import BertConfig
import kit; from kit.data import Corpus
from kit.encoder import DualEncoder
from kit.teachers import EncoderScores
from kit.toy.vocabulary import bert_tokenizer
from kit.toy.world import build_world
from kit.train import Distillation, Optimisation
from kit.widgets import LossLab, TrainingView
import torch; torch.set_num_threads(1)
world = build_world(generated=0, passages_each=2, questions_each=1)
corpus = Corpus(world.passages.values()); questions = world.questions["train"][:24]
words = bert_tokenizer()
config = BertConfig(vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                    intermediate_size=64, max_position_embeddings=128)
encoder = DualEncoder.from_config(config, words, family="fid-kd")
teacher = kit.BM25(corpus).retrieve(questions, 6)
gold = kit.metrics.answer_hits(teacher, questions, corpus)
LossLab([3.0, 1.0])
"""
TRAIN = """
view = TrainingView(every=0.3, table=lambda: (EncoderScores(encoder).score(questions, corpus, teacher), gold),
                    questions=questions, corpus=corpus)
config = Distillation(Optimisation(steps=100_000, learning_rate=1e-3, evaluate_every=10), questions=2, passages=4)
start = [one.detach().clone() for one in encoder.parameters()]
training = kit.distil(encoder, questions, corpus, teacher, config=config, callback=view, progress=False,
                      evaluate=lambda: {"recall@1": min(1.0, 0.3 + 0.01 * view.history.losses[-1]["step"])})
print("interrupted:", training.interrupted, "after", len(training.losses))
print("the student has moved:", any(bool((a != b).any()) for a, b in zip(start, encoder.parameters())))
"""
STEP = "() => Number(/step (\\d+) ·/.exec(document.body.innerText)?.[1] ?? 0)"
REACHED = f"(least) => ({STEP})() >= least"
SLIDER = "step of the training"


def test_a_training_is_live_interrupted_saved_and_opened_again(lab, run_notebook, pictures, chromium):
    page = run_notebook(lab, [SETUP, TRAIN], wait=False, size=(1366, 1500))
    page.wait_for_function("() => document.querySelectorAll('[data-panel=scores] .kit-chart .main-svg').length > 0")
    first = page.evaluate(STEP)
    page.wait_for_function(REACHED, arg=first + 15)  # it moves while the cell runs
    page.get_by_label(SLIDER).focus()
    page.keyboard.press("Home")  # the page alone answers: the kernel is busy
    page.get_by_text("Scores before the training").wait_for()
    pictures(page, "training-live")
    page.evaluate("() => globalThis.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    wait_until_idle(page)
    page.get_by_text("interrupted: True").wait_for()
    page.get_by_text("the student has moved: True").wait_for()
    page.wait_for_selector(".jp-OutputArea .js-plotly-plot .main-svg")
    assert page.get_by_label(SLIDER).count() == 0 and page.errors == []
    pictures(page, "training-ended")
    view, words = saved(page, page.path).cells[1].outputs
    kept = {MIME, "text/html", "text/plain"}
    assert set(view.data) - {"image/png"} == kept and "interrupted: True" in words.text  # plotly's own adds a PNG
    assert len(json.dumps({kind: view.data[kind] for kind in kept})) < 60_000
    page.evaluate("() => globalThis.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    fresh = open_page(chromium, lab, page.path, dark=True, size=(1366, 1500), kernel=False)
    fresh.wait_for_selector(".jp-OutputArea :is(.js-plotly-plot .main-svg, img.plot-img)")  # plotly's own PNG
    fresh.get_by_text("interrupted: True").wait_for()
    pictures(fresh, "training-opened-again")
    fresh.context.close()


@pytest.fixture
def trained() -> TrainingView:
    """Of two questions the first one's gold passage climbs from the last place to the first."""
    ids = [["a", "b", "c"], ["d", "e", "f"]]
    scores = np.float32([[3.0, 2.0, 1.0]] * 2)
    view = TrainingView(
        table=lambda: (ScoreTable("student", ["q1", "q2"], ids, scores), [[False, False, True], [True, False, False]]),
        questions=[Question("q1", "Which <b>?"), Question("q2", "Who?")],
        corpus={name: Passage(name, f"Title <{name}>", "text") for row in ids for name in row}, display=False,
    )  # fmt: skip
    for step in (10, 20):
        scores[0, 2] += 1.25
        view.watched.add(step)
    rows = [{"step": n + 1, "loss": 1 / (n + 1), "agreement": n / 20} for n in range(20)]
    view(
        TrainingHistory(rows, [{"step": 10, "recall@1": 0.5, "rank": 3.0}, {"step": 20, "recall@1": 1.0, "rank": 1.0}])
    )
    return view


def test_a_gold_passage_climbs_as_the_step_is_moved(trained, open_file):
    page = open_file(trained, "#moment=10")
    page.get_by_text("Scores after step 10 (★ gold): student").wait_for()
    labels = page.locator("[data-panel=scores] .ytick text")
    labels.first.wait_for()
    assert [text[:3] for text in labels.all_text_contents()] == ["1 T", "2 ★", "3 T"]
    slider = page.get_by_label(SLIDER)
    assert slider.get_attribute("aria-valuetext") == "after step 10"
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_text("a gold passage is on top in 50%").wait_for()
    page.locator("[data-panel=scores] .ytick text", has_text="3 ★").wait_for()
    page.wait_for_function("() => location.hash === '#moment=0'")
    page.get_by_role("button", name="play the training").click()
    page.get_by_text("a gold passage is on top in 100%").wait_for()
    page.wait_for_function("() => location.hash === ''")  # the last step is where it begins
    page.get_by_label("question", exact=True).get_by_label("q2: Who?").check()
    page.locator("[data-panel=scores] .ytick text", has_text="1 ★ Title <d>").wait_for()


@pytest.mark.parametrize(("size", "dark"), [((390, 800), False), ((1366, 768), True)])
def test_its_page_fits(trained, open_file, pictures, size, dark):
    page = open_file(trained, size=size, dark=dark)
    page.locator("[data-panel='figure rank'] .main-svg").first.wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    pictures(page, f"training-{size[0]}-{'dark' if dark else 'light'}")
    page.locator("[data-panel=loss]").get_by_role("button", name="table").click()
    assert page.locator("[data-panel=loss] tbody tr").count() == 20
