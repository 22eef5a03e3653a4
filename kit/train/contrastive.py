"""Contrastive training, DPR's: a passage with the answer against a hard one without it and all others of the batch.

What a passage is worth is said by labels (it holds an answer or not), not by a teacher. Knows no teachers.
Source: DPR (Karpukhin et al. 2020), sections 3.2 and 5.1.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from kit.losses import in_batch_nll
from kit.metrics import answer_hits
from kit.metrics.answers import answer_finder, searchable
from kit.train.fit import Optimisation, Training, fit
from kit.train.stages import draw
from kit.train.warm_up import BatchScores
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
    asked = [question for question in questions if question.answers]
    if not asked:
        raise KitError("labelled", "questions with answers", f"{len(questions)} questions, none with an answer")
    ranked = table.select([question.id for question in asked]).top(max(1, table.values.shape[1]))
    hits = answer_hits(ranked, asked, corpus)
    found = []
    for question, ids, holds in zip(asked, ranked.passage_ids.tolist(), hits.tolist(), strict=True):
        right = [name for name, hit in zip(ids, holds, strict=True) if name and hit]
        wrong = [name for name, hit in zip(ids, holds, strict=True) if name and not hit][:negatives]
        if right and len(wrong) >= min(1, negatives):
            found.append(Labelled(question, right[0], tuple(wrong)))
    if not found:
        wanted = "questions with a passage that holds an answer and one that does not"
        raise KitError(f"score table {table.name!r}", wanted, f"none among {len(asked)}")
    return found


def train_in_batch(
    encoder: DualEncoder,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    config: InBatch,
    *,
    folder: str | Path | None = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
    best: str | None = None,
    seen: Callable[[Training], None] | None = None,
    progress: bool = True,
) -> Training:
    """Train `encoder` in place by DPR's in-batch loss on the labels that `table` gives; how the training went.

    Each logged step has `found`, the share of questions whose positive scored highest in the batch, and `false`, the
    share of the batch's other passages that hold a question's answer too: they are pushed away all the same. A passage
    that several questions bring stands in the batch once (DPR: as often, as its own negative). Under several processes
    the negatives are those of one process (DPR gathers all). `folder`, `evaluate`, `best`, `seen`: see `fit`.
    """
    items = labelled(questions, corpus, table, negatives=config.negatives)

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        batch = draw(items, config.questions, number, config.optimisation.seed)
        names = list(dict.fromkeys([item.positive for item in batch] + [i for item in batch for i in item.negatives]))
        asked, found = model(*batch_tokens(encoder, [item.question for item in batch], [corpus[i] for i in names]))
        own = torch.tensor([names.index(item.positive) for item in batch], device=asked.device)  # (q,)
        right = (asked.detach().float() @ found.detach().float().T).argmax(-1) == own  # (q,)
        figures = {"found": float(right.float().mean()), "false": false_negatives(batch, names, corpus)}
        return in_batch_nll(asked, found, own), figures

    return fit(
        BatchScores(encoder), loss_of, config.optimisation,
        folder=folder, evaluate=evaluate, best=best, seen=seen, progress=progress, name="training (in-batch)",
    )  # fmt: skip


def batch_tokens(
    encoder: DualEncoder, questions: Sequence[Question], passages: Sequence[Passage]
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Ids and mask (q, t) of the questions, ids and mask (x, t) of the passages, as the encoder's family has them."""
    return encoder.tokenize_questions([question.text for question in questions]), encoder.tokenize_passages(passages)


def false_negatives(batch: Sequence[Labelled], names: Sequence[str], corpus: Mapping[str, Passage]) -> float:
    """Of all (question, passage not its positive) in a batch, the share in which the passage holds an answer."""
    texts = {name: searchable(corpus[name].text) for name in names}
    holds = [
        answer_finder(item.question.answers)(texts[name]) for item in batch for name in names if name != item.positive
    ]
    return sum(holds) / max(1, len(holds))
