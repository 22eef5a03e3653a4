"""Strings and answers against recordings of the original evaluation, and the two places where the kit differs."""

import json
import pathlib
import random

import pytest

from kit.metrics import exact_match, f1, has_answer, normalize_answer
from kit.metrics.answers import searchable
from kit.types import KitError

GOLDEN = json.loads((pathlib.Path(__file__).parent / "golden/evaluation/strings.json").read_text(encoding="utf-8"))


def test_normalisation_as_recorded():
    assert len(GOLDEN["normalize_answer"]) > 90
    for case in GOLDEN["normalize_answer"]:
        assert normalize_answer(case["input"]) == case["normalized"], case


def test_tokens_as_recorded():
    for case in GOLDEN["tokenize"]:
        assert searchable(case["input"]).split() == case["uncased_of_nfd"], case


def test_exact_match_as_recorded():
    for case in GOLDEN["ems"]:
        if "error" in case:
            with pytest.raises(KitError, match="wanted at least one answer"):
                exact_match(case["prediction"], case["answers"])
        else:
            assert exact_match(case["prediction"], case["answers"]) is case["em"], case


def test_has_answer_as_recorded_but_for_blank_answers():
    blank = 0
    for case in GOLDEN["has_answer"]:
        told = [answer for answer in case["answers"] if searchable(answer)]
        if told == case["answers"] or case["text"] is None:
            assert has_answer(case["text"], case["answers"]) is case["has_answer"], case
        else:  # the original lets a blank answer match every text
            blank += 1
            assert has_answer(case["text"], case["answers"]) is has_answer(case["text"], told)
    assert blank


def test_matching_by_substring_is_matching_by_tokens():
    draw = random.Random(0)
    for _ in range(3000):
        text, answer = ("".join(draw.choices("aBé. -", k=draw.randrange(9))) for _ in range(2))
        tokens, wanted = searchable(text).split(), searchable(answer).split()
        runs = [tokens[start : start + len(wanted)] for start in range(len(tokens) - len(wanted) + 1)]
        assert has_answer(text, [answer]) is (bool(wanted) and wanted in runs), (text, answer)


@pytest.mark.parametrize(
    ("prediction", "answers", "wanted"),
    [
        ("the cat sat", ["a cat"], 2 / 3),  # one of two words, all of one
        ("cat cat dog", ["cat dog dog"], 2 / 3),  # words count as often as they stand on both sides
        ("Paris", ["London", "paris!"], 1.0),
        ("Paris", ["London"], 0.0),
        ("the", ["a"], 1.0),
        ("", ["Paris"], 0.0),
    ],
)
def test_f1_by_hand(prediction, answers, wanted):
    assert f1(prediction, answers) == pytest.approx(wanted)


def test_regular_expressions_are_searched_without_regard_to_case():
    height = ["20\\s?,?\\s?(32|40)0\\s?-?\\s?f(ee|oo)t|6,194-meter"]
    assert has_answer("It is 20,320 FEET high.", height, regex=True)
    assert not has_answer("It is 20,310 feet high.", height, regex=True)
    assert not has_answer("anything", [" ", ""], regex=True)
    assert has_answer("a start", ["art"], regex=True)  # a search, not a token match


def test_an_escaped_letter_with_an_accent_is_that_letter():
    assert has_answer("Sn\u011b\u017eka", ["Sn\\\u011b\\\u017eka"], regex=True)
    assert has_answer("back\\\u00e9", ["k\\\\\u00e9"], regex=True)  # two backslashes are one that is meant


def test_mistakes_are_named():
    with pytest.raises(KitError, match="wanted a regular expression, given missing"):
        has_answer("x", ["(20"], regex=True)
    with pytest.raises(KitError, match=r"wanted a list of answers \(str\), given 'Paris'"):
        has_answer("Paris", "Paris")
    with pytest.raises(KitError, match="wanted a list of answers"):
        exact_match("Paris", "Paris")
    with pytest.raises(KitError, match="wanted at least one answer"):
        f1("Paris", [])
