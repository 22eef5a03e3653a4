"""Tiny BERTs and DistilBERTs as transformers writes them, for the tests of encoders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from kit.types import Passage

GOLDEN = Path(__file__).parent / "golden" / "retriever"
VOCABULARY = GOLDEN / "tokenization" / "vocab.txt"
SIZES = {
    "vocab_size": 120,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
DISTIL_SIZES = {"vocab_size": 120, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
QUESTIONS = ["who is the king", "when was the first film of the old city", "song"]
PASSAGES = [
    Passage("1", "King", "the king is old. river city river city river city"),
    Passage("2", "", "new"),
    Passage("3", "Film", "the first film, 1939"),
    Passage("4", "War", "second war"),
]


def tokenizer():
    words = VOCABULARY.read_text(encoding="utf-8").split("\n")
    return transformers.BertTokenizer(vocab={word: row for row, word in enumerate(words) if word})


def written(folder, model, seed=0):
    """A folder as transformers writes it, weights drawn wide enough that outputs differ, with the small tokenizer."""
    torch.manual_seed(seed)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    model.eval().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def bert():
    return transformers.BertConfig(**SIZES)


@pytest.fixture
def pair(tmp_path):
    """The folders of a tiny DPR pair."""
    config = transformers.DPRConfig(**SIZES)
    written(tmp_path / "rdr-question_encoder-x", transformers.DPRQuestionEncoder(config), seed=1)
    written(tmp_path / "rdr-ctx_encoder-x", transformers.DPRContextEncoder(config), seed=2)
    return tmp_path / "rdr-question_encoder-x", tmp_path / "rdr-ctx_encoder-x"
