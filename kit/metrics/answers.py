"""Comparing strings with answers: exact match, F1, and whether a text holds an answer.

Knows no table or corpus: `kit.metrics` counts with these.
Source: SQuAD v1.1's evaluation (normalisation, F1); DrQA, DPR and FiD (token match).
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import regex as expressions

from kit.arguments import instance_of, list_of
from kit.types import KitError, Question

_ARTICLES = expressions.compile(r"\b(a|an|the)\b")
_TOKENS = expressions.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")
_ESCAPED_LETTER = expressions.compile(r"(?<!\\)((?:\\\\)*)\\(?=[^\x00-\x7f])")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """The text in lower case, without ASCII punctuation, without English articles, with single blanks.

    Other punctuation stays (an em-dash, a curly quote), and so do accents.

    >>> normalize_answer("The U.S.  Army!")
    'us army'
    """
    return " ".join(_ARTICLES.sub(" ", _text(text).lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str], regex: bool = False) -> bool:
    r"""Whether the prediction equals one of the answers, both normalised. Raises `KitError` if there are no answers.

    With `regex` the answers are regular expressions, one of which matches the prediction from its beginning, whatever
    the case. Source: SQuAD's evaluation; DrQA, regex_match_score, for patterns (CuratedTREC).

    >>> exact_match("The Beatles!", ["Rolling Stones", "beatles"]), exact_match("Beatle", ["beatles"])
    (True, False)
    >>> exact_match("in 1969", [r"(in )?196\d"], regex=True)
    True
    """
    if regex:
        text = unicodedata.normalize("NFD", _text(prediction))
        return any(_pattern(answer).match(text) is not None for answer in _checked(answers))
    normal = normalize_answer(prediction)
    return any(normal == normalize_answer(answer) for answer in _checked(answers))


def exact_match_rate(predictions: Mapping[str, str], questions: Sequence[Question], *, regex: bool = False) -> float:
    """The share of questions whose prediction, by question id, is an exact match: 0 to 1, over those with answers.

    Raises `KitError` if no question has answers, or one that has some has no prediction.

    >>> questions = [Question("a", "capital of France?", ("Paris",)), Question("b", "of Italy?", ("Rome",))]
    >>> exact_match_rate({"a": "paris.", "b": "Milan"}, questions)
    0.5
    """
    right = exact_matches(predictions, questions, regex=regex)
    if not len(right):
        raise KitError("exact_match_rate", "questions with answers", "none")
    return float(right.mean())


def exact_matches(predictions: Mapping[str, str], questions: Sequence[Question], *, regex: bool = False) -> np.ndarray:
    """Whether each prediction is an exact match, over the questions with answers, in their order: bool (q,)."""
    instance_of("predictions", predictions, Mapping, "answers by question id")
    answerable = [question for question in list_of("questions", questions, Question, "questions") if question.answers]
    missing = [question.id for question in answerable if question.id not in predictions]
    if missing:
        raise KitError("predictions", f"one for question {missing[0]!r}", f"none for {len(missing)} questions")
    return np.array([exact_match(predictions[one.id], one.answers, regex) for one in answerable], dtype=bool)


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The harmonic mean of word precision and recall against the best of the answers, both normalised: 0 to 1.

    Two texts without words agree (1). No answers at all is a `KitError`.

    >>> f1("the river Nile", ["Nile"])  # precision 1/2, recall 1
    0.6666666666666666
    """
    words = normalize_answer(prediction).split()
    return max(_word_f1(words, normalize_answer(answer).split()) for answer in _checked(answers))


def has_answer(text: str | None, answers: Sequence[str], regex: bool = False) -> bool:
    """Whether the text holds one of the answers as a run of whole tokens, whatever the case; None holds nothing.

    Tokens are runs of letters, digits and marks, or single other characters, of the NFD form. "art" is not in "start",
    "Beyonce" not in "Beyoncé". A blank answer is passed over (the original lets it match every text). With `regex` the
    answers are regular expressions, searched in the text's NFD form without regard to case (CuratedTREC).

    >>> has_answer("Founded in St. Petersburg.", ["st. petersburg"]), has_answer("start", ["art"])
    (True, False)
    """
    return text is not None and answer_finder(answers, regex)(searchable(text, regex))


def searchable(text: str, regex: bool = False) -> str:
    """The text as `answer_finder`'s functions search it; prepared once, it serves any number of questions.

    >>> searchable("Paris, France!")
    ' paris , france ! '
    """
    normal = unicodedata.normalize("NFD", _text(text))
    return normal if regex else _token_line(normal)


def answer_finder(answers: Sequence[str], regex: bool = False) -> Callable[[str], bool]:
    """A function that tells whether a `searchable` text holds one of the answers."""
    if regex:
        patterns = [_pattern(answer) for answer in _listed(answers) if answer.strip()]
        return lambda text: any(pattern.search(text) for pattern in patterns)
    lines = [line for line in map(searchable, _listed(answers)) if line]
    return lambda text: any(line in text for line in lines)


def _token_line(normal: str) -> str:
    """Tokens between blanks, in lower case: a token never holds a blank, so that a run of tokens is a substring."""
    tokens = _TOKENS.findall(normal)
    return f" {' '.join(tokens)} ".lower() if tokens else ""


@lru_cache(maxsize=4096)
def _pattern(answer: str) -> expressions.Pattern[str]:
    """NFD would part an escaped letter from its accent (`\\é`, 11 patterns of TREC): DPR lets these match nothing, the
    kit drops the needless backslash."""
    normal = unicodedata.normalize("NFD", _ESCAPED_LETTER.sub(r"\1", answer))
    try:
        return expressions.compile(normal, expressions.IGNORECASE | expressions.UNICODE | expressions.MULTILINE)
    except expressions.error as error:
        raise KitError(f"answer {answer!r:.80}", "a regular expression", error) from None


def _word_f1(predicted: list[str], answer: list[str]) -> float:
    if not predicted or not answer:
        return float(predicted == answer)
    shared = (Counter(predicted) & Counter(answer)).total()
    return 2 * shared / (len(predicted) + len(answer))


def _text(value: object) -> str:
    return instance_of("text", value, str, "a string")


def _listed(answers: Sequence[str]) -> list[str]:
    return list_of("answers", answers, str, "answers")


def _checked(answers: Sequence[str]) -> list[str]:
    listed = _listed(answers)
    if not listed:
        raise KitError("answers", "at least one answer", "none")
    return listed
