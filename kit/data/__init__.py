"""Questions, passages and tables on disk: FiD's examples, DPR's passages, TREC's runs; read, written, checked."""

from kit.data.corpus import Corpus, cut_passages, load_passages, save_passages
from kit.data.documents import prepare
from kit.data.examples import (
    iter_examples,
    load_examples,
    load_questions,
    save_examples,
    save_predictions,
    save_questions,
)
from kit.data.trec import read_qrels, read_run, write_qrels, write_run
from kit.data.validation import validate

__all__ = [
    "Corpus",
    "cut_passages",
    "iter_examples",
    "load_examples",
    "load_passages",
    "load_questions",
    "prepare",
    "read_qrels",
    "read_run",
    "save_examples",
    "save_passages",
    "save_predictions",
    "save_questions",
    "validate",
    "write_qrels",
    "write_run",
]
