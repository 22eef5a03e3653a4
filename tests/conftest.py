"""What several test files share: the smallest models of the real kinds, a small encyclopaedia, and no network."""

from __future__ import annotations

import socket

import pytest
import torch
from t5_start import initial_t5
from tiny_berts import pair  # noqa: F401, a fixture of both tests of encoders
from transformers import BertConfig

from kit.data import Corpus
from kit.encoder import DualEncoder
from kit.reader import FiDReader
from kit.toy.vocabulary import bert_tokenizer, t5_tokenizer
from kit.toy.world import ToyWorld, build_world


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing outside this machine is asked for."""
    connect = socket.socket.connect

    def local(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX and str(address[0]) not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test asked the network for {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small models are quickest on one thread."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def world() -> ToyWorld:
    """The real entities alone, two passages each."""
    return build_world(generated=0, passages_each=2, questions_each=1)


@pytest.fixture(scope="session")
def corpus(world: ToyWorld) -> Corpus:
    return Corpus(world.passages.values())


@pytest.fixture
def small_reader() -> FiDReader:
    tokenizer = t5_tokenizer()
    return FiDReader(initial_t5(tokenizer, d_model=32, layers=1), tokenizer, max_tokens=96).eval()


@pytest.fixture
def small_encoder() -> DualEncoder:
    tokenizer = bert_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return DualEncoder.from_config(config, tokenizer, family="fid-kd")
