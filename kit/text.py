"""How a question and a passage are written for a model: the input templates of the original programs; scripts.

Source: FiD (Izacard & Grave 2021), section 3, for the reader; FiD-KD (2021), section 3, for its retriever.
"""

from __future__ import annotations

import regex

from kit.types import Passage

# Runs of letters of the scripts that put no blanks between words, and of others.
_SCRIPTS = "".join(rf"\p{{{name}}}" for name in "Han Hiragana Katakana Thai Lao Khmer Myanmar".split())
UNSPACED = regex.compile(rf"[{_SCRIPTS}]+|[^{_SCRIPTS}]+")
UNSPACED_LETTER = regex.compile(rf"[{_SCRIPTS}]")


def reader_question(question: str) -> str:
    """What a FiD reader sees of a question.

    >>> reader_question("where is the Louvre")
    'question: where is the Louvre'
    """
    return f"question: {question}"


def reader_passage(passage: Passage) -> str:
    """What a FiD reader or FiD-KD retriever sees of a passage.

    >>> reader_passage(Passage("1", "Louvre", "The Louvre is in Paris."))
    'title: Louvre context: The Louvre is in Paris.'
    """
    return f"title: {passage.title} context: {passage.text}"


def reader_input(question: str, passage: Passage) -> str:
    """One passage as the reader encodes it: the question stands before every passage.

    >>> reader_input("where is the Louvre", Passage("1", "Louvre", "In Paris."))
    'question: where is the Louvre title: Louvre context: In Paris.'
    """
    return f"{reader_question(question)} {reader_passage(passage)}"
