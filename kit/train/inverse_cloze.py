"""A retriever's start without labels: find the passage that a sentence was taken from (the inverse cloze task).

Source: Lee et al. 2019 (ORQA), section 4; a sentence stays in its passage in most pairs here (their 10% is the case of
a corpus with paraphrases), and passages of one title come together in a batch, so that the subject alone is not enough.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

import torch
from torch import Tensor, nn

from kit.losses import in_batch_nll
from kit.optimisation import Optimisation
from kit.train.contrastive import first_share
from kit.train.fit import RunOptions, TrainingHistory, fit
from kit.train.signatures import data_digest
from kit.types import KitError, Passage

if TYPE_CHECKING:
    from kit.encoder import DualEncoder

KEPT = 0.8  # share of the pairs in which the sentence stays in its passage
DROPPED = 0.2  # share of a sentence's words that are left out


def inverse_cloze(passage: Passage, rng: random.Random) -> tuple[str, Passage]:
    """A sentence of the passage with some words missing, as a question; and the passage, mostly whole.

    >>> passage = Passage("1", "Nile", "The Nile is a river. It ends in the sea.")
    >>> inverse_cloze(passage, random.Random(1))[0]
    'The Nile river.'
    """
    sentences = re.split(r"(?<=[.!?])\s+", passage.text.strip())
    chosen = rng.randrange(len(sentences))
    words = sentences[chosen].split()
    left = [word for word in words if rng.random() >= DROPPED] or words
    if len(sentences) > 1 and rng.random() >= KEPT:
        rest = " ".join(sentences[:chosen] + sentences[chosen + 1 :])
        passage = Passage(passage.id, passage.title, rest)
    return " ".join(left), passage


def passages_by_title(
    corpus: Mapping[str, Passage], count: int, each: int = 2
) -> Callable[[random.Random], list[Passage]]:
    """A way to draw `count` passages of a corpus, up to `each` of one title."""
    titles: dict[str, list[str]] = {}
    for name in corpus:
        titles.setdefault(corpus[name].title, []).append(name)
    names = list(titles)
    if len(names) < 2:
        raise KitError("inverse cloze", "a corpus with passages of at least 2 titles", f"{len(names)}")

    def draw(rng: random.Random) -> list[Passage]:
        drawn: list[Passage] = []
        for title in rng.sample(names, min(len(names), count)):
            if len(drawn) >= count:
                break
            ids = titles[title]
            drawn += [corpus[name] for name in rng.sample(ids, min(each, len(ids)))]
        return drawn[:count]

    return draw


def train_inverse_cloze(
    encoder: DualEncoder,
    passages: Mapping[str, Passage] | Callable[[random.Random], Sequence[Passage]],
    optimisation: Optimisation,
    *,
    batch: int = 64,
    **run: Unpack[RunOptions],
) -> TrainingHistory:
    """Train `encoder` in place on the inverse cloze task over a corpus, or over passages drawn by a function.

    All passages of a batch compete for each sentence (DPR's in-batch loss). Each logged step has `first`, the share of
    sentences whose own passage scored highest. Returns the history. `run`: see `RunOptions`; a folder's run is
    identified by its corpus, or by the name of the function.
    """
    draw = passages if callable(passages) else passages_by_title(passages, batch)

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        pairs = [inverse_cloze(passage, rng) for passage in draw(rng)]
        texts, answers = zip(*pairs, strict=True)
        vectors, others = model(texts, answers)
        own = torch.arange(len(pairs), device=vectors.device)
        return in_batch_nll(vectors * encoder.scale, others, own), {"first": first_share(vectors, others, own)}

    def signature() -> dict[str, object]:
        source = passages.__name__ if callable(passages) else data_digest([], passages)
        return {"task": "inverse cloze", "batch": batch, "family": encoder.family.to_json(), "data": source}

    return fit(encoder, loss_of, optimisation, signature=signature, name="inverse cloze", **run)
