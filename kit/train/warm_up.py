"""A retriever's start without labels: find the passage that a sentence was taken from (the inverse cloze task).

Source: Lee et al. 2019 (ORQA), section 4; a sentence stays in its passage in most pairs here (their 10% is the case of
a corpus with paraphrases), and passages of one title come together in a batch, so that the subject alone is not enough.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kit.losses import in_batch_nll
from kit.train.fit import Optimisation, Training, fit
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
        raise KitError("warm_up", "a corpus with passages of at least 2 titles", f"{len(names)}")

    def some(rng: random.Random) -> list[Passage]:
        drawn: list[Passage] = []
        for title in rng.sample(names, min(len(names), count)):
            if len(drawn) >= count:
                break
            ids = titles[title]
            drawn += [corpus[name] for name in rng.sample(ids, min(each, len(ids)))]
        return drawn[:count]

    return some


class BatchScores(nn.Module):
    """Vectors of questions and of passages, as one forward pass."""

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, questions: tuple[Tensor, Tensor], passages: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """(q, d) times the family's scale, and (x, d)."""
        asked = self.encoder.embed(*questions, side="question") * self.encoder.scale
        return asked, self.encoder.embed(*passages, side="passage")


def warm_up(
    encoder: DualEncoder,
    passages: Mapping[str, Passage] | Callable[[random.Random], Sequence[Passage]],
    optimisation: Optimisation,
    *,
    batch: int = 64,
    folder: str | Path | None = None,
    seen: Callable[[Training], None] | None = None,
    progress: bool = True,
) -> Training:
    """Train `encoder` in place on the inverse cloze task over a corpus, or over passages drawn by a function.

    All passages of a batch compete for each sentence (DPR's in-batch loss). Each logged step has `found`, the share of
    sentences whose own passage scored highest.
    """
    some = passages if callable(passages) else passages_by_title(passages, batch)

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        pairs = [inverse_cloze(passage, rng) for passage in some(rng)]
        texts, read = zip(*pairs, strict=True)
        asked, found = model(encoder.tokenize_questions(texts), encoder.tokenize_passages(read))
        own = torch.arange(len(pairs), device=asked.device)
        best = (asked.detach() @ found.detach().T).argmax(-1)
        return in_batch_nll(asked, found, own), {"found": float((best == own).float().mean())}

    return fit(
        BatchScores(encoder), loss_of, optimisation, folder=folder, seen=seen, progress=progress, name="warming up"
    )
