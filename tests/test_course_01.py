"""The checkers of notebook 01 pass the right answer and name what is wrong with others."""

from __future__ import annotations

from collections import Counter

import pytest
from checks import chapter_01
from checks.chapter_01 import BROKEN, check_f1, check_gold_recall, check_repair

from kit.metrics import normalize_answer


def one_f1(prediction, answer, *, normal=normalize_answer, words=list):
    said, wanted = words(normal(prediction).split()), words(normal(answer).split())
    shared = (Counter(said) & Counter(wanted)).total()
    return 2 * shared / (len(said) + len(wanted)) if shared else 0.0


def right_f1(prediction, answers):
    return max(one_f1(prediction, answer) for answer in answers)


def test_f1_passes_the_right_one():
    assert check_f1(right_f1).passed


def precision(prediction, answers):
    said, wanted = normalize_answer(prediction).split(), normalize_answer(answers[0]).split()
    return sum(word in wanted for word in said) / len(said)


def divides_by_nothing(prediction, answers):
    said, wanted = (Counter(normalize_answer(text).split()) for text in (prediction, answers[-1]))
    shared = (said & wanted).total()
    p, r = shared / said.total(), shared / wanted.total()
    return 2 * p * r / (p + r)


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (precision, "recall 1"),
        (lambda p, a: max(one_f1(p, answer, normal=str) for answer in a), "Normalise both"),
        (lambda p, a: max(one_f1(p, answer, words=set) for answer in a), "Counter"),
        (lambda p, a: one_f1(p, a[0]), "best of the answers"),
        (lambda p, a: sum(one_f1(p, answer) for answer in a) / len(a), "best of the answers"),
        (divides_by_nothing, "division by zero"),
        (lambda p, a: None, "returned None"),
    ],
)
def test_f1_names_the_mistake(wrong, names):
    verdict = check_f1(wrong)
    assert not verdict.passed
    assert names in verdict.message, verdict.message


def right_recall(table, gold, k):
    best = table.top(k)
    return sum(bool(gold[name] & set(best.passages_of(name))) for name in best.question_ids.tolist()) / len(best)


def test_gold_recall_passes_the_right_one():
    assert check_gold_recall(right_recall).passed


def in_the_table_s_order(table, gold, k):
    names = table.question_ids.tolist()
    return sum(bool(gold[name] & set(table.passages_of(name)[:k])) for name in names) / len(names)


def precision_at(table, gold, k):
    best = table.top(k)
    return sum(len(gold[name] & set(best.passages_of(name))) / k for name in best.question_ids.tolist()) / len(best)


def without_the_lost(table, gold, k):
    names = [name for name in table.question_ids.tolist() if gold[name] & set(table.passages_of(name))]
    return right_recall(table.select(names), gold, k)


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (in_the_table_s_order, "sorts it by score"),
        (precision_at, "This is precision at k"),
        (without_the_lost, "count as 0"),
        (lambda table, gold, k: right_recall(table, gold, 1), "one of its k passages"),
    ],
)
def test_gold_recall_names_the_mistake(wrong, names):
    verdict = check_gold_recall(wrong)
    assert not verdict.passed
    assert names in verdict.message, verdict.message


def right_repair(records):
    france, nile, egypt, phonograph = records
    france["answers"] = ["Paris"]
    nile["answers"], nile["ctxs"][0]["score"] = ["Nile"], 3.0
    egypt["id"], egypt["ctxs"][0]["id"] = "q3", "10"
    phonograph["answers"] = ["1877"]
    return records


def test_repair_passes_the_right_one_and_leaves_the_records_alone():
    assert check_repair(right_repair).passed
    assert BROKEN[0]["answers"] == "Paris"


def after(change):
    def repair(records):
        fixed = right_repair(records)
        return change(fixed) or fixed

    return repair


def letters(records):
    records[0]["answers"] = [*"Paris", "Paris"]


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (lambda records: records, "an error on line 2"),
        (after(lambda records: [record for record in records if record["id"] != "q3"]), "you dropped 1 of 4"),
        (after(lambda records: records[3].update(answers=[])), "'1877' is lost"),
        (after(letters), "five letters"),
        (after(lambda records: records[1]["answers"].append("")), "leave it out"),
        (after(lambda records: records[2].update(ctxs=[])), "a passage is lost"),
        (after(lambda records: records[2]["ctxs"][0].update(id="7")), "an error on line 3"),
    ],
)
def test_repair_names_the_mistake(wrong, names):
    verdict = check_repair(wrong)
    assert not verdict.passed
    assert names in verdict.message, verdict.message


def test_a_checker_says_what_an_error_was():
    assert "ValueError: oh" in chapter_01.check_f1(fails).message


def fails(prediction, answers):
    raise ValueError("oh")


@pytest.mark.parametrize(
    ("measure", "names"),
    [
        (lambda shared, p, r: p, "This is precision alone"),
        (lambda shared, p, r: r, "This is recall alone"),
        (lambda shared, p, r: 2 * p * r / (p + r), "No word in common is 0"),
        (lambda shared, p, r: 2 * p * r / (p + r) if shared else float("nan"), "No word in common is 0"),
        (lambda shared, p, r: 2 * p * r / (p + r) if shared else None, "No word in common is 0"),
        (lambda shared, p, r: 2 * p * r / (p + r) if shared else 1.0, "No word in common is 0, not 1"),
    ],
)
def test_f1_names_precision_recall_and_no_word_in_common(measure, names):
    def f1(prediction, answers):
        def one(answer):
            a, b = (Counter(normalize_answer(text).split()) for text in (prediction, answer))
            shared = (a & b).total()
            return measure(shared, shared / a.total(), shared / b.total())

        values = [one(answer) for answer in answers]
        return max(value for value in values) if None not in values else None

    assert names in check_f1(f1).message
