"""BM25 over titles and texts, on bm25s: the words' way to find passages, and the first retriever of FiD-KD's loop.

Source: Robertson & Zaragoza 2009; k1 and b as pyserini's for Wikipedia passages (0.9, 0.4), the stop words Lucene's.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

import bm25s
import numpy as np
import regex
from bm25s.stopwords import STOPWORDS_EN

from kit.arguments import instance_of, list_of, real_number, whole_number
from kit.data.records import warn
from kit.files import folder_aside, read_json, restored, write_json
from kit.index.search import MOST_K
from kit.index.vectors import id_column, ids_of_rows, ids_sha256, read_ids, write_ids
from kit.text import UNSPACED, UNSPACED_LETTER
from kit.types import KitError, Passage, Question, ScoreTable

WORD = regex.compile(r"[\p{L}\p{N}\p{M}_]+")
BYTES_A_PASSAGE = 4_000  # measured: 200,000 passages of 100 words take 0.85 GB
STOP_WORDS = frozenset(STOPWORDS_EN)
STEMS = ("none", "plural")
IDS, ABOUT = "ids.parquet", "bm25.json"


def words_of(text: str, *, stem: str = "plural") -> list[str]:
    """The words of a text for BM25: lower case, letters, marks and digits, without Lucene's 33 English stop words.

    Letters with accents are one whatever their Unicode form. Scripts that put no blanks between words (Chinese,
    Japanese, Thai ...) give each pair of neighbouring letters, as Lucene's CJK analyser does.
    `stem` plural: the endings of English plurals are taken off (Harman 1991, the S stemmer); none: words as they are.

    >>> words_of("The capitals of 2 countries")
    ['capital', '2', 'country']
    """
    words = WORD.findall(text.lower() if text.isascii() else unicodedata.normalize("NFC", text).lower())
    if not text.isascii():
        words = [part for word in words for part in _parts(word)]
    words = [word for word in words if word not in STOP_WORDS]
    return [singular(word) for word in words] if stem == "plural" else words


def _parts(word: str) -> list[str]:
    """The word, or the pairs of neighbouring letters of its unspaced scripts.

    >>> _parts("café"), _parts("挪威的首都")
    (['café'], ['挪威', '威的', '的首', '首都'])
    """
    runs = UNSPACED.findall(word)
    if len(runs) == 1 and not UNSPACED_LETTER.match(word):
        return runs
    pairs = [
        [run[at : at + 2] for at in range(max(1, len(run) - 1))] if UNSPACED_LETTER.match(run) else [run]
        for run in runs
    ]
    return [part for row in pairs for part in row]


def singular(word: str) -> str:
    """A word without an English plural ending, by Harman's three rules: ies to y, es to e, s to nothing.

    >>> [singular(word) for word in ("cities", "houses", "rivers", "glass", "bus", "gas")]
    ['city', 'house', 'river', 'glass', 'bus', 'ga']
    """
    if len(word) < 3 or word[-1] != "s":
        return word
    if word.endswith("ies") and word[-4:-3] not in ("e", "a"):
        return word[:-3] + "y"
    if word.endswith("es") and word[-3:-2] not in ("a", "e", "o"):
        return word[:-1]
    return word if word[-2] in "us" else word[:-1]


class BM25:
    """BM25 of a corpus, titles and texts together, in memory.

    >>> corpus = {"1": Passage("1", "Nile", "A river."), "2": Passage("2", "Alps", "Mountains of rivers.")}
    >>> BM25(corpus).retrieve([Question("q", "which mountains?"), Question("r", "rivers")], k=2).passage_ids.tolist()
    [['2', ''], ['1', '2']]
    """

    def __init__(self, corpus: Mapping[str, Passage], *, k1: float = 0.9, b: float = 0.4, stem: str = "plural") -> None:
        if stem not in STEMS:
            raise KitError("stem", " or ".join(STEMS), repr(stem))
        k1, b = real_number("BM25", "k1", k1), real_number("BM25", "b", b)
        if k1 < 0 or not 0 <= b <= 1:
            raise KitError("BM25", "k1 >= 0 and b in 0 ... 1", f"k1={k1}, b={b}")
        if not len(instance_of("BM25", corpus, Mapping, "a corpus")):
            raise KitError("BM25", "a corpus with passages", "none")
        _warn_of_size(len(corpus))
        self.stem, self.k1, self.b = stem, k1, b
        self._ids = id_column(list(corpus))
        vocabulary: dict[str, int] = {}
        documents = []
        for passage in corpus.values():
            instance_of("BM25", passage, Passage, "a corpus of passages")
            words = words_of(f"{passage.title} {passage.text}", stem=stem)
            documents.append(array("i", [vocabulary.setdefault(word, len(vocabulary)) for word in words]))
        if not vocabulary:
            raise KitError("BM25", "a corpus with words", "none but stop words")
        self._bm25 = bm25s.BM25(k1=k1, b=b, method="lucene")
        self._bm25.index((documents, vocabulary), create_empty_token=False, show_progress=False)

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return f"BM25({len(self):,} passages, k1={self.k1}, b={self.b}, stem={self.stem!r})"

    def retrieve(self, questions: Sequence[Question], k: int) -> ScoreTable:
        """The `k` best passages of each question, best first; equal scores in the corpus's order.

        A passage that shares no word with the question is not found: its cell is missing.
        """
        questions = list_of("retrieve", questions, Question, "questions")
        k = whole_number("retrieve", "k", k, most=MOST_K)
        rows = np.full((len(questions), k), -1, dtype=np.int64)
        scores = np.full((len(questions), k), np.nan, dtype=np.float32)
        for number, question in enumerate(questions):
            found, at = self._best(question.text, k)
            rows[number, : len(at)], scores[number, : len(at)] = at, found
        return ScoreTable("bm25", [question.id for question in questions], ids_of_rows(self._ids, rows), scores)

    def _best(self, text: str, k: int) -> tuple[np.ndarray, np.ndarray]:
        known = self._bm25.get_tokens_ids(words_of(text, stem=self.stem))
        scores = self._bm25.get_scores_from_ids(known) if known else np.zeros(0, dtype=np.float32)
        at = np.flatnonzero(scores > 0)
        if len(at) > k:
            last = np.partition(scores[at], len(at) - k)[len(at) - k]
            better, equal = at[scores[at] > last], at[scores[at] == last]
            at = np.sort(np.concatenate([better, equal[: k - len(better)]]))
        at = at[np.argsort(-scores[at], kind="stable")]
        return scores[at], at

    def save(self, directory: str | Path) -> None:
        """Write the index into a folder, which appears whole or not at all; an earlier one of BM25 is replaced."""
        with folder_aside(directory, ABOUT) as new:
            self._bm25.save(new, allow_pickle=False, show_progress=False)
            write_ids(new / IDS, self._ids)
            about = {"format": "kit.BM25", "version": 1, "k1": self.k1, "b": self.b, "stem": self.stem}
            about["ids_sha256"] = ids_sha256(self._ids)
            write_json(new / ABOUT, about)

    @classmethod
    def load(cls, directory: str | Path, *, mmap: bool = False) -> BM25:
        """The index that `save` wrote; `mmap` leaves the postings on the disk."""
        directory = restored(directory)
        if not (directory / ABOUT).exists():
            raise KitError(str(directory), "a folder that BM25 saved", f"no {ABOUT} there")
        about = read_json(directory / ABOUT, dict)
        try:
            inner = bm25s.BM25.load(directory, mmap=mmap, allow_pickle=False, show_progress=False)
        except (OSError, ValueError) as error:
            raise KitError(str(directory), "a folder that BM25 saved", error) from None
        loaded = cls.__new__(cls)
        loaded.stem, loaded.k1, loaded.b = about["stem"], about["k1"], about["b"]
        loaded._ids, loaded._bm25 = read_ids(directory / IDS), inner
        if len(loaded._ids) != inner.scores["num_docs"] or ids_sha256(loaded._ids) != about["ids_sha256"]:
            raise KitError(str(directory), f"the ids of {inner.scores['num_docs']} passages", "other ids")
        return loaded


def _warn_of_size(passages: int) -> None:
    import psutil

    size, free = passages * BYTES_A_PASSAGE, psutil.virtual_memory().available
    if size > free:
        advice = "a run of Lucene or pyserini can be read in its place (kit.data.read_run; docs/retrieval.md)"
        warn("BM25", f"{passages:,} passages take about {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; {advice}")
