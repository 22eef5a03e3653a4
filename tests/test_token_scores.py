"""kit.encoder.token_scores and principal_components: against scores and by a slow loop."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tiny_berts import PASSAGES, QUESTIONS, bert, tokenizer

from kit.encoder import FAMILIES, DualEncoder, principal_components, token_scores
from kit.types import KitError

CHANGES = [{}, {"normalized": True}, {"passage_mask": False}, {"dimension": 4}, {"scaled": False, "template": "text"}]


def encoder_of(**changes) -> DualEncoder:
    family = dataclasses.replace(FAMILIES["fid-kd"], passage_length=24, **changes)
    return DualEncoder.from_config(bert(), tokenizer(), family=family, seed=3)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_the_shares_of_the_tokens_add_up_to_the_score(changes):
    encoder = encoder_of(**changes)
    passages = torch.tensor(encoder.encode_passages(PASSAGES))[None]
    for question in QUESTIONS:
        scores = encoder.score(torch.tensor(encoder.encode_questions([question])), passages)[0]
        shares = token_scores(encoder, question, PASSAGES)
        assert [len(one.tokens) for one in shares] == [len(one.scores) for one in shares]
        np.testing.assert_allclose([one.scores.sum() for one in shares], scores, atol=1e-5)
        assert all(one.scores.std() > 1e-4 for one in shares)
    assert ("[PAD]" in shares[1].tokens) == (not encoder.family.passage_mask) and "new" in shares[1].tokens


def test_a_token_adds_its_states_product_with_the_question():
    encoder = encoder_of(two_towers=True)
    [(tokens, scores)] = token_scores(encoder, QUESTIONS[0], PASSAGES[2:3])
    ids, mask = encoder.tokenize_passages(PASSAGES[2:3])
    vector = torch.tensor(encoder.encode_questions(QUESTIONS[:1])[0])
    states = encoder.passage_tower(input_ids=ids, attention_mask=mask.long()).last_hidden_state[0].detach()
    for place, state in enumerate(states):
        assert float(vector @ state) / 16**0.5 / len(tokens) == pytest.approx(scores[place], abs=1e-5)


def test_a_first_tokens_vector_has_no_parts():
    with pytest.raises(KitError, match="mean over tokens"):
        token_scores(encoder_of(pooling="cls"), QUESTIONS[0], PASSAGES)


def test_components_keep_distances_of_vectors_on_a_plane():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(20, 2)) * [3.0, 1.0]
    turned = flat @ np.linalg.qr(rng.normal(size=(7, 7)))[0][:2] + rng.normal(size=7)
    plane = principal_components(turned.astype(np.float32))
    apart = [np.linalg.norm(one[:, None] - one[None], axis=-1) for one in (flat, plane.coordinates)]
    np.testing.assert_allclose(*apart, atol=1e-4)
    assert plane.explained.sum() == pytest.approx(1.0) and plane.explained[0] > 0.7
    assert (plane.coordinates.max(0) > -plane.coordinates.min(0)).all(), "the furthest out is positive"
    with pytest.raises(KitError, match="at least 2 vectors"):
        principal_components(turned[:1])
