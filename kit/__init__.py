"""kit: read, see what the reader looks at, and teach a retriever from it.

Every room is an attribute (`kit.metrics`, `kit.train`, ...), and the names that most notebooks need stand here as well.
Each is loaded when it is first used, so `import kit` is quick.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from kit.threads import choose_waiting

if TYPE_CHECKING:  # what editors complete
    from kit import attention as attention
    from kit import bench as bench
    from kit import checkpoints as checkpoints
    from kit import course as course
    from kit import data as data
    from kit import device as device
    from kit import doctor as doctor
    from kit import encoder as encoder
    from kit import files as files
    from kit import index as index
    from kit import losses as losses
    from kit import metrics as metrics
    from kit import pages as pages
    from kit import plots as plots
    from kit import quickstart as quickstart
    from kit import reader as reader
    from kit import recipes as recipes
    from kit import retrieve as retrieve
    from kit import rounds as rounds
    from kit import teachers as teachers
    from kit import text as text
    from kit import toy as toy
    from kit import train as train
    from kit import types as types
    from kit import widgets as widgets
    from kit.attention import cross_attention_scores as cross_attention_scores
    from kit.data import load_examples as load_examples
    from kit.data import load_passages as load_passages
    from kit.data import load_questions as load_questions
    from kit.data import save_examples as save_examples
    from kit.encoder import DualEncoder as DualEncoder
    from kit.index import VectorIndex as VectorIndex
    from kit.index import build_index as build_index
    from kit.losses import LOSSES as LOSSES
    from kit.reader import FiDReader as FiDReader
    from kit.retrieve import BM25 as BM25
    from kit.retrieve import DenseRetriever as DenseRetriever
    from kit.rounds import run_rounds as run_rounds
    from kit.train import distil as distil
    from kit.train import train_reader as train_reader
    from kit.types import KitError as KitError
    from kit.types import Passage as Passage
    from kit.types import Question as Question
    from kit.types import ScoreTable as ScoreTable

__version__ = "0.1.0"
choose_waiting()  # read by OpenMP when torch is loaded

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
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_ROOMS = {module.name for module in iter_modules(__path__)}
__all__ = [*_HOME_OF, *sorted(_ROOMS - {"cli"})]


def __getattr__(name: str) -> Any:
    room = _HOME_OF.get(name, name)
    if room not in _ROOMS:
        raise AttributeError(f"module 'kit' has no attribute {name!r}")
    try:
        module = import_module(f"kit.{room}")
    except ModuleNotFoundError as error:
        from kit.extras import missing_extra

        raise missing_extra(f"kit.{name}", error) from None
    return getattr(module, name) if name in _HOME_OF else module


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
