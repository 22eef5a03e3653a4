"""The inverse cloze task: what is asked, what is found, and that it is learned."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kit.data import Corpus
from kit.train import Optimisation
from kit.train.inverse_cloze import inverse_cloze, passages_by_title, train_inverse_cloze
from kit.types import KitError, Passage

PASSAGE = Passage("1", "Nile", "The Nile is a river in Africa. It ends in the sea. Boats go there!")


def test_a_sentence_is_asked_for_and_mostly_stays():
    pairs = [inverse_cloze(PASSAGE, random.Random(seed)) for seed in range(300)]
    sentences = ("The Nile is a river in Africa.", "It ends in the sea.", "Boats go there!")
    for text, passage in pairs:
        whole = [set(sentence.split()) for sentence in sentences]
        assert any(set(text.split()) <= words for words in whole) and text
        assert passage.title == "Nile"
    kept = np.mean([passage.text == PASSAGE.text for _, passage in pairs])
    assert 0.7 < kept < 0.9
    removed = [passage.text for _, passage in pairs if passage.text != PASSAGE.text]
    assert all(sum(sentence in text for sentence in sentences) == 2 for text in removed)


def test_a_single_sentence_stays():
    single = Passage("1", "Nile", "The Nile is a river.")
    assert all(inverse_cloze(single, random.Random(seed))[1] == single for seed in range(50))


def test_passages_of_one_title_come_together():
    corpus = Corpus(Passage(str(n), f"title {n // 3}", "text") for n in range(30))
    drawn = passages_by_title(corpus, 8)(random.Random(0))
    titles = [passage.title for passage in drawn]
    assert len(drawn) == 8 and len({passage.id for passage in drawn}) == 8
    assert all(titles.count(title) == 2 for title in titles)
    with pytest.raises(KitError, match="at least 2 titles"):
        passages_by_title(Corpus([PASSAGE]), 4)


def test_it_is_learned(small_encoder, corpus):
    few = Corpus(list(corpus.values())[:24])
    rows = train_inverse_cloze(
        small_encoder,
        few,
        Optimisation(steps=60, learning_rate=1e-2, embedding_lr_multiplier=3),
        batch=12,
        progress=False,
    ).losses
    first = [row["first"] for row in rows]
    assert np.mean(first[-10:]) > np.mean(first[:10]) + 0.2
