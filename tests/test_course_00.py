"""The checker of notebook 00 takes the right answer and names what is wrong with others."""

from __future__ import annotations

import numpy as np
import pytest
from checks.chapter_00 import check_gold_on_top


def right(table, gold):
    hits = []
    for question, ids, values in zip(table.question_ids, table.passage_ids, table.values, strict=True):
        if gold[question] & set(ids):
            hits.append(ids[np.nanargmax(values)] in gold[question])
    return np.mean(hits)


def over_all(table, gold):
    return np.mean([ids[np.nanargmax(v)] in gold[q] for q, ids, v in zip(*columns(table), strict=True)])


def first_column(table, gold):
    return np.mean([ids[0] in gold[q] for q, ids, _ in zip(*columns(table), strict=True) if gold[q] & set(ids)])


def plain_argmax(table, gold):
    hits = [ids[np.argmax(v)] in gold[q] for q, ids, v in zip(*columns(table), strict=True) if gold[q] & set(ids)]
    return np.mean(hits)


def anywhere(table, gold):
    held = [q for q, ids, _ in zip(*columns(table), strict=True) if gold[q] & set(ids)]
    return len(held) / len(held)


def count(table, gold):
    return 2


def columns(table):
    return table.question_ids, table.passage_ids, table.values


def test_the_right_answer_passes():
    verdict = check_gold_on_top(right)
    assert verdict.passed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (over_all, "divided by all questions"),
        (first_column, "first passage of the row"),
        (anywhere, "somewhere"),
        (count, "gave a count"),
        (plain_argmax, "np.nanargmax"),
        (lambda table, gold: 0.77, "0.666667 was expected"),
        (lambda table, gold: [1, 2], "One number was expected"),
        (lambda table, gold: None, "returned None"),
    ],
)
def test_a_wrong_answer_is_named(wrong, named):
    verdict = check_gold_on_top(wrong)
    assert not verdict.passed and named in verdict.message
