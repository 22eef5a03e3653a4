"""A course of a few questions and a hundred passages and more, for tests of what takes the whole one."""

from __future__ import annotations

from dataclasses import replace

from kit.course import Course, load_course
from kit.data import Corpus


def tiny_course() -> Course:
    """12 training, 5 dev and 8 test questions about real entities; their gold passages and 100 others."""
    whole = load_course(generated=0)
    splits = {"train": whole.train[:12], "dev": whole.dev[:5], "test": whole.test[:8]}
    gold = {name for questions in splits.values() for question in questions for name in whole.gold[question.id]}
    names = sorted(gold | set(list(whole.corpus)[:100]))
    return replace(whole, corpus=Corpus([whole.corpus[name] for name in names]), **splits)
