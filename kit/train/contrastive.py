"""Contrastive training, DPR's: a passage with the answer against a hard one without it and all others of the batch.

Labels say what a passage is worth (it holds an answer or not), not a teacher. Knows no teachers.
Source: DPR (Karpukhin et al. 2020), sections 3.2 and 5.1.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Unpack

import torch
from torch import Tensor, nn

from kit.losses import in_batch_nll
from kit.metrics import answer_hits
from kit.metrics.answers import answer_finder, searchable
from kit.optimisation import Optimisation
from kit.train.batches import Stream
from kit.train.fit import RunOptions, TrainingHistory, fit
from kit.train.signatures import signature_of
from kit.types import KitError, Passage, Question, ScoreTable

if TYPE_CHECKING:
    from kit.encoder import DualEncoder


@dataclass(frozen=True)
class InBatch:
    """How a retriever learns from labels: `questions` of a batch, each with its positive and its hard negatives."""

    optimisation: Optimisation
    questions: int = 128
    negatives: int = 1  # hard ones of each question; all other questions' passages are negatives besides


class Labelled(NamedTuple):
    """A question, the id of a passage that answers it, and those of passages that look like it and do not."""

    question: Question
    positive: str
    negatives: tuple[str, ...]


def labelled(
    questions: Sequence[Question], corpus: Mapping[str, Passage], table: ScoreTable, *, negatives: int = 1
) -> list[Labelled]:
    """Each question's highest passage of `table` that holds an answer, and the highest `negatives` that hold none.

    Questions without answers are left out, and so are those that lack the one or the other (58,880 of the 79,168 of
    Natural Questions were usable for DPR). A passage that holds the answer's words may still not answer the question.

    >>> corpus = {i: Passage(i, "", text) for i, text in (("a", "In Rome."), ("b", "In Paris."), ("c", "In Bonn."))}
    >>> table = ScoreTable("bm25", ["q"], [["a", "b", "c"]], [[3.0, 2.0, 1.0]])
    >>> labelled([Question("q", "where?", ("Paris",))], corpus, table)[0][1:]
    ('b', ('a',))
    """
    answered = [question for question in questions if question.answers]
    if not answered:
        raise KitError("labelled", "questions with answers", f"{len(questions)} questions, none with an answer")
    ranked = table.select([question.id for question in answered]).top(max(1, table.values.shape[1]))
    hits = answer_hits(ranked, answered, corpus)
    items = []
    for question, ids, holds in zip(answered, ranked.passage_ids.tolist(), hits.tolist(), strict=True):
        right = [name for name, hit in zip(ids, holds, strict=True) if name and hit]
        wrong = [name for name, hit in zip(ids, holds, strict=True) if name and not hit][:negatives]
        if right and len(wrong) >= min(1, negatives):
            items.append(Labelled(question, right[0], tuple(wrong)))
    if not items:
        wanted = "questions with a passage that holds an answer and one that does not"
        raise KitError(f"score table {table.name!r}", wanted, f"none among {len(answered)}")
    return items


def train_in_batch(
    encoder: DualEncoder,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    config: InBatch,
    **run: Unpack[RunOptions],
) -> TrainingHistory:
    """Train `encoder` in place by DPR's in-batch loss on the labels that `table` gives; returns the history.

    Each logged step has `first`, the share of questions whose positive scored highest in the batch, and `false`, the
    share of the batch's other passages that hold a question's answer too: they are pushed away all the same. A passage
    that several questions bring stands in the batch once (DPR: as often, as its own negative). Under several processes
    the negatives are those of one process (DPR gathers all). `run`: see `RunOptions`.
    """
    items = labelled(questions, corpus, table, negatives=config.negatives)
    stream = Stream(items, config.questions, config.optimisation.seed)

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        batch = stream.batch(number)
        names = list(dict.fromkeys([item.positive for item in batch] + [i for item in batch for i in item.negatives]))
        vectors, passages = model([item.question.text for item in batch], [corpus[name] for name in names])
        own = torch.tensor([names.index(item.positive) for item in batch], device=vectors.device)  # (q,)
        figures = {"first": first_share(vectors, passages, own), "false": false_negatives(batch, names, corpus)}
        return in_batch_nll(vectors * encoder.scale, passages, own), figures

    used = [item.question for item in items]
    signature = partial(signature_of, "in-batch", config, encoder, used, corpus, table)
    return fit(encoder, loss_of, config.optimisation, signature=signature, name="training (in-batch)", **run)


def first_share(questions: Tensor, passages: Tensor, own: Tensor) -> float:
    """The share of questions (q, d) whose own passage, a row of (x, d), scores highest of all."""
    best = (questions.detach().float() @ passages.detach().float().T).argmax(-1)  # (q,)
    return float((best == own).float().mean())


def false_negatives(batch: Sequence[Labelled], names: Sequence[str], corpus: Mapping[str, Passage]) -> float:
    """Of all (question, passage not its positive) in a batch, the share in which the passage holds an answer."""
    texts = {name: searchable(corpus[name].text) for name in names}
    holds = [
        answer_finder(item.question.answers)(texts[name]) for item in batch for name in names if name != item.positive
    ]
    return sum(holds) / max(1, len(holds))
