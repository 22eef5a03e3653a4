"""kit.widgets.EmbeddingExplorer without a browser: what it gives its page is the library's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kit.encoder import DualEncoder, principal_components
from kit.retrieve import BM25
from kit.types import KitError
from kit.widgets import EmbeddingExplorer


@pytest.fixture
def asked(world):
    return world.questions["test"][:4]


@pytest.fixture
def table(asked, corpus):
    return BM25(corpus).retrieve(asked, 3)


def other(encoder, **changes) -> DualEncoder:
    family = dataclasses.replace(encoder.family, **changes)
    return DualEncoder.from_config(encoder.question_tower.config, encoder.tokenizer, family=family, seed=1)


def test_words_add_up_to_the_scores_that_it_shows(asked, corpus, table, small_encoder, small_reader):
    explorer = EmbeddingExplorer(
        {"before": small_encoder, "after": other(small_encoder)}, asked, corpus, table, reader=small_reader
    )
    ids = table.passages_of(asked[1].id)
    *students, reader = explorer.answer("words", {"question": asked[1].id})["sides"]
    for side, encoder in zip(students, (small_encoder, other(small_encoder)), strict=True):
        question = torch.tensor(encoder.encode_questions([asked[1].text]))
        passages = torch.tensor(encoder.encode_passages([corpus[i] for i in ids]))[None]
        parts = np.split(side["weights"], np.cumsum(side["lengths"])[:-1])
        np.testing.assert_allclose([part.sum() for part in parts], encoder.score(question, passages)[0], atol=1e-4)
    assert [side["name"] for side in students] == ["before", "after"]
    words = [reader["words"][number].lstrip("▁") for number in reader["tokens"][: reader["lengths"][0]]]
    assert words[0] == "question" and "context" in words
    assert reader["weights"].sum() == pytest.approx(reader["scores"].sum()) == pytest.approx(1.0, abs=1e-3)


def test_questions_come_before_passages_on_the_plane(asked, corpus, table, small_encoder):
    explorer = EmbeddingExplorer({"student": small_encoder}, asked, corpus, table, gold={asked[0].id: {"none"}})
    passages = list(explorer._passages)
    assert passages == list(dict.fromkeys(i for one in asked for i in table.passages_of(one.id)))
    questions = small_encoder.encode_questions([one.text for one in asked])
    vectors = np.concatenate([questions, small_encoder.encode_passages([corpus[i] for i in passages])])
    plane = explorer._plane(small_encoder)
    np.testing.assert_allclose(plane["points"], principal_components(vectors).coordinates, atol=1e-4)
    assert explorer.summary()[2][0][1] == f"{plane['scores'][asked[0].id][0]:.3g}"


def test_a_first_tokens_vector_has_a_place_but_no_words(asked, corpus, table, small_encoder):
    explorer = EmbeddingExplorer({"cls": other(small_encoder, pooling="cls")}, asked, corpus, table)
    assert explorer.answer("words", {"question": asked[0].id}) == {"sides": []}
    with pytest.raises(KitError, match="corpus"):
        EmbeddingExplorer({"x": small_encoder}, asked, {}, table)
    with pytest.raises(KitError, match="at least"):
        EmbeddingExplorer({}, asked, corpus, table)
