"""Comparing strings with answers: exact match, F1, and whether a text holds an answer.

Knows no table or corpus: `kit.metrics` counts with these.
Source: SQuAD v1.1's evaluation (normalisation, F1); DrQA, DPR and FiD (token match), METHOD section 0.
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import regex as expressions

from kit.types import KitError

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
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str]) -> bool:
    """Whether the prediction equals one of the answers, both normalised; no answers at all is a `KitError`.

    >>> exact_match("The Beatles!", ["Rolling Stones", "beatles"]), exact_match("Beatle", ["beatles"])
    (True, False)
    """
    said = normalize_answer(prediction)
    return any(said == normalize_answer(answer) for answer in _checked(answers))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The harmonic mean of word precision and recall against the best of the answers, both normalised: 0 to 1.

    Two texts without words agree (1). No answers at all is a `KitError`.

    >>> f1("the river Nile", ["Nile"])  # precision 1/2, recall 1
    0.6666666666666666
    """
    said = normalize_answer(prediction).split()
    return max(_word_f1(said, normalize_answer(answer).split()) for answer in _checked(answers))


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
    normal = unicodedata.normalize("NFD", text)
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


def _word_f1(said: list[str], wanted: list[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    shared = (Counter(said) & Counter(wanted)).total()
    return 2 * shared / (len(said) + len(wanted))


def _listed(answers: Sequence[str]) -> Iterable[str]:
    if isinstance(answers, str):
        raise KitError("answers", "a list of strings", f"the string {answers!r:.60}")
    return answers


def _checked(answers: Sequence[str]) -> Iterable[str]:
    if not len(_listed(answers)):  # type: ignore[arg-type]
        raise KitError("answers", "at least one answer", "none")
    return answers
