"""A course of a few questions and a hundred passages and more, for tests of what takes the whole one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kit.course import Course, load_course
from kit.data import Corpus
from kit.encoder import DualEncoder
from kit.reader import FiDReader


def tiny_course(encoder: DualEncoder, reader: FiDReader, folder: Path) -> Course:
    """12 training, 5 dev and 8 test questions about real entities; their gold passages and 100 others.

    It begins from the two models, which are written into `folder`.
    """
    encoder.save_pretrained(folder / "bert")
    reader.save_pretrained(folder / "t5")
    whole = load_course(generated=0)
    splits = {"train": whole.train[:12], "dev": whole.dev[:5], "test": whole.test[:8]}
    gold = {name for questions in splits.values() for question in questions for name in whole.gold[question.id]}
    names = sorted(gold | set(list(whole.corpus)[:100]))
    corpus = Corpus([whole.corpus[name] for name in names])
    return replace(whole, corpus=corpus, encoder_source=folder / "bert", reader_source=folder / "t5", **splits)
