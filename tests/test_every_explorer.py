"""Every explorer made, driven as a page drives it, shown and exported: also with the old versions of Google Colab.

`make test-colab` runs this file where `KIT_VERSIONS` says which versions must be there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import pytest
from tiny_berts import bert, tokenizer

from kit.encoder import DualEncoder
from kit.retrieve import BM25
from kit.train import TrainingHistory
from kit.types import KitError
from kit.widgets import (
    AttentionExplorer,
    EmbeddingExplorer,
    IndexLab,
    LossLab,
    Playground,
    ScoreDistributions,
    TrainingView,
)
from kit.widgets.base import Explorer

VIEW = "application/vnd.jupyter.widget-view+json"


def training(questions, corpus, table, reader) -> TrainingView:
    view = TrainingView(table=lambda: (table, table.mask), questions=questions, corpus=corpus, display=False)
    view(TrainingHistory([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]))
    return view


def index(questions, corpus, table, reader) -> IndexLab:
    vectors = np.random.default_rng(0).normal(size=(200, 8)).astype("f4")
    lab = IndexLab(vectors, vectors[:9], specs=["Flat", "HNSW8"])
    lab.measure()
    return lab


def embedding(questions, corpus, table, reader) -> EmbeddingExplorer:
    encoder = DualEncoder.from_config(bert(), tokenizer(), family="fid-kd")
    return EmbeddingExplorer({"before": encoder, "after": encoder}, questions, corpus, table, reader=reader)


# How each is made, and a change of its state.
EXPLORERS: dict[str, tuple[Callable[..., Explorer], dict]] = {
    "ScoreDistributions": (
        lambda questions, corpus, table, reader: ScoreDistributions({"teacher": table, "x": table}, questions, corpus),
        {"show": "shares", "loss": "mse"},
    ),
    "LossLab": (lambda *_: LossLab([3.0, 1.0], [0.0, 2.0]), {"loss": "mse", "student": [1.0, 2.0]}),
    "IndexLab": (index, {"k": 3, "least_recall": 0.0}),
    "EmbeddingExplorer": (embedding, {"encoder": "before"}),
    "TrainingView": (training, {"moment": 0}),
    "AttentionExplorer": (
        lambda questions, corpus, table, reader: AttentionExplorer(reader, questions, corpus, table),
        {"layer": 0, "kind": "logits"},
    ),
    "Playground": (
        lambda questions, corpus, table, reader: Playground(
            corpus, {"BM25": BM25(corpus)}, reader, questions=questions
        ),
        {"k": 3, "leave_one_out": False},
    ),
}


def test_the_versions_are_those_that_are_meant():
    for one in os.environ.get("KIT_VERSIONS", "").split():
        name, wanted = one.split("==")
        assert version(name) == wanted


@pytest.mark.parametrize("name", EXPLORERS)
def test_it_is_made_driven_shown_and_exported(name, world, corpus, small_reader, tmp_path):
    questions = world.questions["test"][:3]
    make, change = EXPLORERS[name]
    explorer = make(questions, corpus, BM25(corpus).retrieve(questions, 4), small_reader)
    assert type(explorer).__name__ == name
    explorer.set_state({"state": {**explorer.state, **change}})  # what a page sends
    assert {key: explorer.state[key] for key in change} == change
    wrong = next(iter(change))
    with pytest.raises(KitError, match=wrong):
        explorer.set(**{wrong: "nothing of the kind"})
    data, _ = explorer._repr_mimebundle_()
    assert data[VIEW]["model_id"] == explorer.model_id and "<table>" in data["text/html"]
    page = explorer.export_html(tmp_path / "page.html")
    assert (400_000 if explorer.plotly else 50_000) < page.stat().st_size < 1_000_000  # plotly.js is half a megabyte
    assert name in explorer._repr_mimebundle_()[0]["text/plain"]
    explorer.close()
