"""A real distillation watched in JupyterLab and Notebook 7: live, interrupted, saved and opened again."""

from __future__ import annotations

import json
import re

import pytest

from .front_ends import open_page, saved, wait_until_idle

SETUP = """
from transformers import BertConfig
from kit.data import Corpus
from kit.encoder import DualEncoder
from kit.retrieve import BM25
from kit.toy.vocabulary import bert_tokenizer
from kit.toy.world import build_world
from kit.train import Distillation, Optimisation, distil
from kit.widgets import TrainingView
import torch; torch.set_num_threads(1)
world = build_world(generated=0, passages_each=2, questions_each=1)
corpus = Corpus(world.passages.values()); asked = world.questions["train"][:24]
words = bert_tokenizer()
config = BertConfig(vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                    intermediate_size=64, max_position_embeddings=128)
encoder = DualEncoder.from_config(config, words, family="fid-kd")
teacher = BM25(corpus).retrieve(asked, 6)
gold = [[any(a in corpus[p].text for a in q.answers) for p in teacher.passages_of(q.id)] for q in asked]
"""
TRAIN = """
view = TrainingView(every=0.3, table=lambda: ({"teacher": teacher.values}, gold))
how = Distillation(Optimisation(steps=STEPS, learning_rate=1e-3, evaluate_every=10), questions=2, passages=4)
start = [one.detach().clone() for one in encoder.parameters()]
training = distil(encoder, asked, corpus, teacher, config=how, callback=view, progress=False,
                  evaluate=lambda: {"recall@1": min(1.0, 0.3 + 0.01 * view.training.losses[-1]["step"])})
print("interrupted:", training.interrupted, "after", len(training.losses))
print("the student has moved:", any(bool((a != b).any()) for a, b in zip(start, encoder.parameters())))
"""
STEP = (
    "() => Number(/step (\\d+) ·/.exec(document.querySelector('.jp-OutputArea')?.closest('body').innerText)?.[1] ?? 0)"
)
REACHED = f"(least) => ({STEP})() >= least"


@pytest.mark.parametrize("kind", ["lab", "notebook7"])
def test_a_training_is_seen_live_interrupted_saved_and_opened_again(kind, request, run_notebook, pictures, chromium):
    where = request.getfixturevalue(kind)
    page = run_notebook(where, [SETUP, TRAIN.replace("STEPS", "100_000")], wait=False, size=(1200, 1500))
    page.wait_for_function(REACHED, arg=3)
    first = page.evaluate(STEP)
    page.wait_for_function(REACHED, arg=first + 15)  # it moves while the cell runs
    assert page.locator(".jupyter-widgets svg").count() == 2
    pictures(page, f"training-live-{kind}")
    page.evaluate("() => globalThis.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    wait_until_idle(page)
    page.wait_for_function("() => document.body.innerText.includes('interrupted: True')")
    page.wait_for_function("() => document.body.innerText.includes('the student has moved: True')")
    page.wait_for_function("() => !document.querySelector('.jp-OutputArea .jupyter-widgets')")
    assert page.locator(".jp-RenderedHTML svg").count() == 2
    assert page.evaluate(STEP) >= first + 15
    assert kind != "lab" or page.errors == []  # Notebook 7 has an error of its own at its start
    pictures(page, f"training-stopped-{kind}")
    again(chromium, where, page, pictures, f"training-opened-again-{kind}")


def test_a_short_training_in_the_dark_in_notebook7_ends_as_a_picture(notebook7, run_notebook, pictures):
    page = run_notebook(notebook7, [SETUP, TRAIN.replace("STEPS", "60")], dark=True, size=(1000, 1500))
    page.wait_for_function("() => !document.querySelector('.jp-OutputArea .jupyter-widgets')")
    page.wait_for_function(REACHED, arg=60)
    page.locator(".jp-RenderedHTML svg").last.scroll_into_view_if_needed()
    pictures(page, "training-notebook7-dark")
    ink = page.evaluate("getComputedStyle(document.querySelector('.jp-RenderedHTML svg text')).fill")
    assert min(int(part) for part in re.findall(r"\d+", ink)[:3]) > 150
    (view, _) = saved(page, page.path).cells[1].outputs
    assert set(view.data) == {"text/html", "text/plain"}


def test_a_button_trains_under_voila(voila, run_notebook, pictures):
    button = (
        "view = TrainingView(every=0.3, display=False)\nbutton = ipywidgets.Button(description='Train')\n"
        "how = Distillation(Optimisation(steps=40, learning_rate=1e-3), questions=2, passages=4)\n"
        "def train(_):\n    distil(encoder, asked, corpus, teacher, config=how, callback=view, progress=False)\n"
        "    view.finish()\nbutton.on_click(train)\nipywidgets.VBox([button, view])"
    )
    page = run_notebook(voila, [SETUP + "import ipywidgets", button])
    page.get_by_role("button", name="Train").click()
    page.wait_for_function(REACHED, arg=40)
    assert page.locator("svg[role=img]").count() == 1
    pictures(page, "training-voila")


def again(chromium, where, page, pictures, name: str) -> None:
    """The saved notebook holds the picture and no widget; a page without a kernel shows it, and runs nothing."""
    book = saved(page, page.path)
    view, words = book.cells[1].outputs
    assert set(view.data) == {"text/html", "text/plain"} and view.data["text/html"].count("<svg") == 2
    assert "interrupted: True" in words.text
    assert len(json.dumps(view)) < 60_000
    page.evaluate("() => globalThis.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    fresh = open_page(chromium, where, page.path, dark=False, size=(1200, 1500), kernel=False)
    fresh.wait_for_selector(".jp-RenderedHTML svg")
    fresh.wait_for_timeout(1500)
    pictures(fresh, name)
    assert fresh.locator(".jp-RenderedHTML svg").count() == 2
    fresh.context.close()


@pytest.mark.parametrize("kept", [False, True], ids=["without widget state", "with widget state"])
def test_what_is_saved_of_a_training(lab, run_notebook, kept):
    place = lab.log.parent / "settings" / "@jupyter-widgets" / "jupyterlab-manager" / "plugin.jupyterlab-settings"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"saveState": kept}))
    cells = ["from kit.train import TrainingHistory\nfrom kit.widgets import TrainingView\nview = TrainingView()\n"
             "view(TrainingHistory([{'step': 1, 'loss': 2.0}, {'step': 2, 'loss': 1.0}]))"]  # fmt: skip
    page = run_notebook(lab, cells)
    page.wait_for_function("() => !document.querySelector('.jp-OutputArea .jupyter-widgets')")
    book = saved(page, page.path)
    assert [set(one.data) for one in book.cells[0].outputs] == [{"text/html", "text/plain"}]
    state = book.metadata.get("widgets", {})
    assert bool(state) is kept and len(json.dumps(state)) < 60_000
