"""kit: read, see what the reader looks at, and teach a retriever from it.

The names here are all that most notebooks need; each is loaded when it is first used, so `import kit` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "types": ("KitError", "Passage", "Question", "ScoreTable"),
    "data": ("load_passages", "load_questions", "load_examples", "save_examples"),
    "reader": ("FiDReader",),
    "attention": ("cross_attention_scores",),
    "encoder": ("DualEncoder",),
    "index": ("VectorIndex", "build_index"),
    "retrieve": ("BM25", "DenseRetriever"),
    "losses": ("LOSSES",),
    "train": ("train_reader", "distil"),
    "rounds": ("run_rounds",),
}
_MODULES = ("data", "losses", "metrics", "teachers", "toy", "plots")
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
__all__ = [*_HOME_OF, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"kit.{_HOME_OF[name]}"), name)
    if name in _MODULES:
        return import_module(f"kit.{name}")
    raise AttributeError(f"module 'kit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
