"""The explorers: each one class with plain arguments, to be shown in a notebook or under Voila.

Each is loaded when it is first used. The pure parts (data and a choice in, a figure or HTML out) stand in the files
beside them; what the classes add is the wiring.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kit.extras import missing_extra

_HOMES = {
    "AttentionExplorer": "attention_explorer",
    "ScoreDistributions": "score_distributions",
    "LossLab": "loss_lab",
    "Playground": "playground",
    "IndexLab": "index_lab",
    "EmbeddingExplorer": "embedding_explorer",
    "TrainingView": "training_view",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kit.widgets' has no attribute {name!r}")
    try:
        return getattr(import_module(f"kit.widgets.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        raise missing_extra(f"kit.widgets.{name}", error) from None


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
