"""Training readers on answers, and retrievers on a teacher's scores.

Source: FiD (Izacard & Grave 2021), section 4, and FiD-KD (2021), section 3, with the hyper-parameters of the released
code; the `quick` presets are the toy's, measured on two CPU cores.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kit.losses import LOSSES
from kit.train.fit import Optimisation, Training, fit
from kit.types import KitError, Passage, Question, ScoreTable

if TYPE_CHECKING:
    from kit.encoder import DualEncoder
    from kit.reader import FiDReader


@dataclass(frozen=True)
class ReaderTraining:
    """How a reader is trained: `questions` of a batch, each with its `n_context` best passages."""

    optimisation: Optimisation
    questions: int = 1
    n_context: int = 100
    answer_tokens: int | None = None  # longest answer; None: as long as it is
    checkpoint_gradients: bool = False  # keep few activations: less memory, a third more time


@dataclass(frozen=True)
class Distillation:
    """How a retriever is distilled: `questions` of a batch, each with `passages` of those its teacher scored.

    `loss_options` go to a loss that has them: a preset's temperatures mean nothing to `margin_mse`. One that no loss
    has is an error.
    """

    optimisation: Optimisation
    questions: int = 4
    passages: int = 100
    loss_options: Mapping[str, Any] = field(default_factory=dict)


# FiD: the defaults of the released code for "base" (which equal the paper's), the README's recipe for "large"; a batch
# is 64 questions over all processes. FiD-KD's retriever: the README's recipe. The toy's teacher temperature of 4 is the
# kit's: its attention scores have a standard deviation of 7 over a question's passages, one-hot at 1.
READER_TRAINING = {
    "quick": ReaderTraining(
        Optimisation(steps=60, rate=2e-4, embedding_rate=4, warm_up=10), questions=6, n_context=10
    ),
    "base": ReaderTraining(
        Optimisation(steps=10_000, rate=1e-4, schedule="constant", weight_decay=0.0, betas=(0.9, 0.999), accumulate=64,
                     precision="bf16", save_every=500, evaluate_every=500),
        checkpoint_gradients=True,
    ),
    "large": ReaderTraining(
        Optimisation(steps=15_000, rate=5e-5, warm_up=1000, weight_decay=0.01, betas=(0.9, 0.999), accumulate=64,
                     precision="bf16", save_every=500, evaluate_every=500),
        checkpoint_gradients=True,
    ),
}  # fmt: skip
DISTILLATION = {
    "quick": Distillation(
        Optimisation(steps=160, rate=3e-4, embedding_rate=60, warm_up=10), questions=16, passages=8,
        loss_options={"temperature": 1.0, "teacher_temperature": 4.0},
    ),
    "fid-kd": Distillation(
        Optimisation(steps=20_000, rate=1e-4, warm_up=1000, final=0.34, weight_decay=0.1, betas=(0.9, 0.999),
                     accumulate=16, precision="bf16", save_every=500, evaluate_every=500),
    ),
}  # fmt: skip


def train_reader(
    reader: FiDReader,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    config: ReaderTraining | str = "quick",
    *,
    folder: str | Path | None = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
    best: str | None = None,
    seen: Callable[[Training], None] | None = None,
    progress: bool = True,
) -> Training:
    """Train `reader` in place to say each question's answer from its best passages in `table`; how the training went.

    The answer is `target` where given, else one of `answers`, drawn anew each time; questions without an answer are
    left out. Questions whose passages lack the answer are kept, as in the original. `config`: a `ReaderTraining` or a
    name in `READER_TRAINING`. `folder`, `evaluate`, `best` and `seen` are those of `kit.train.fit.fit`.
    """
    config = _named(config, READER_TRAINING, "reader training")
    asked = [question for question in questions if question.target or question.answers]
    if not asked:
        raise KitError("train_reader", "questions with answers", f"{len(questions)} questions, none with an answer")
    found = table.select([question.id for question in asked]).top(config.n_context)
    reader.checkpoint_gradients(config.checkpoint_gradients)

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> Tensor:
        batch = draw(asked, config.questions, number, config.optimisation.seed)
        passages = [[corpus[i] for i in found.passages_of(question.id)] for question in batch]
        ids, mask = reader.tokenize([question.text for question in batch], passages)
        targets = [question.target or rng.choice(question.answers) for question in batch]
        labels = reader.tokenize_targets(targets, max_tokens=config.answer_tokens)
        return model(ids, mask, labels).loss

    return fit(
        reader, loss_of, config.optimisation,
        folder=folder, evaluate=evaluate, best=best, seen=seen, progress=progress, name="training the reader",
    )  # fmt: skip


PASSAGES_AT_ONCE = 32  # through a tower, for memory


class CandidateScores(nn.Module):
    """The scores (q, k) of questions' own candidate passages under an encoder, as one forward pass."""

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self,
        questions: tuple[Int[Tensor, "q t"], Bool[Tensor, "q t"]],
        passages: tuple[Int[Tensor, "x t"], Bool[Tensor, "x t"]],
        cells: Bool[Tensor, "q k"],
    ) -> Float[Tensor, "q k"]:
        """Scores where `cells` has a passage, 0 elsewhere; the passages are those of `cells`, row by row."""
        asked = self.encoder.embed(*questions, side="question")  # (q, d)
        found = self.encoder.embed(*passages, side="passage", batch_size=PASSAGES_AT_ONCE)  # (x, d)
        grid = found.new_zeros(*cells.shape, found.shape[-1])  # (q, k, d)
        grid[cells] = found
        return self.encoder.score(asked, grid)


def distil(
    encoder: DualEncoder,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    loss: str | Callable[..., Tensor] = "kl",
    config: Distillation | str = "quick",
    *,
    folder: str | Path | None = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
    best: str | None = None,
    seen: Callable[[Training], None] | None = None,
    progress: bool = True,
) -> Training:
    """Train `encoder` in place so that its scores follow the teacher's in `table`; how the training went.

    `loss`: a name in `kit.LOSSES`, or any function of (student (q, k), teacher (q, k), mask). A question with more
    passages than `config.passages` shows a different draw of them each time. No answers are used: the teacher's scores
    are all there is. Each logged step has the student's entropy, and its agreement: the share of questions whose best
    passage is the teacher's.
    """
    config = _named(config, DISTILLATION, "distillation")
    compare = _named(loss, LOSSES, "loss")
    options = _known_options(compare, config.loss_options)
    named = loss if isinstance(loss, str) else getattr(loss, "__name__", "own loss")
    asked = [question for question in questions if int(table.mask[table.row_of(question.id)].sum()) > 1]
    if not asked:
        raise KitError("distil", "questions with at least two scored passages", f"{len(questions)} without")
    if all(_flat(table.values[table.row_of(question.id)]) for question in asked[:1000]):
        raise KitError(
            f"score table {table.name!r}", "scores that tell passages apart", "equal scores for every question"
        )

    def loss_of(model: nn.Module, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        batch = draw(asked, config.questions, number, config.optimisation.seed)
        ids, teacher = candidates(table, batch, config.passages, rng)
        cells = teacher.isnan().logical_not()
        student = model(
            encoder.tokenize_questions([question.text for question in batch]),
            encoder.tokenize_passages([corpus[i] for row in ids for i in row]),
            cells.to(encoder.device),
        )
        teacher, cells = teacher.to(student.device), cells.to(student.device)
        value = compare(student, teacher, mask=cells, **options)
        return value, _health(student.detach(), teacher, cells)

    return fit(
        CandidateScores(encoder), loss_of, config.optimisation,
        folder=folder, evaluate=evaluate, best=best, seen=seen, progress=progress, name=f"distilling ({named})",
    )  # fmt: skip


def candidates(
    table: ScoreTable, questions: Sequence[Question], count: int, rng: random.Random
) -> tuple[list[list[str]], Float[Tensor, "q k"]]:
    """At most `count` scored passages of each question, and their values (q, k); NaN fills short rows.

    Of more than `count`, the highest is always there and the others are drawn.
    """
    ids, values = [], torch.full((len(questions), count), float("nan"))
    for number, question in enumerate(questions):
        row = table.row_of(question.id)
        cells = [
            (name, value)
            for name, value in zip(table.passage_ids[row].tolist(), table.values[row].tolist(), strict=True)
            if name and value == value and value != float("-inf")
        ]
        cells.sort(key=lambda cell: -cell[1])
        if len(cells) > count:
            cells = [cells[0], *rng.sample(cells[1:], count - 1)]
        ids.append([name for name, _ in cells])
        values[number, : len(cells)] = torch.tensor([value for _, value in cells])
    return ids, values


def draw(items: Sequence[Any], size: int, number: int, seed: int) -> list[Any]:
    """Batch `number` of a stream that goes through all items in a new order each time round.

    >>> sorted(draw("abcd", 2, 0, seed=0) + draw("abcd", 2, 1, seed=0))
    ['a', 'b', 'c', 'd']
    """
    batch = []
    for position in range(number * size, (number + 1) * size):
        turn, place = divmod(position, len(items))
        batch.append(items[_order(len(items), turn, seed)[place]])
    return batch


def _order(count: int, turn: int, seed: int, kept: dict[tuple[int, int, int], list[int]] = {}) -> list[int]:  # noqa: B006
    """A permutation of range(count) for each time round; the last few are kept."""
    key = (count, turn, seed)
    if key not in kept:
        while len(kept) > 8:
            kept.pop(next(iter(kept)))
        kept[key] = random.Random(f"{seed}-{turn}").sample(range(count), count)
    return kept[key]


def _named(choice: Any, names: Mapping[str, Any], what: str) -> Any:
    if not isinstance(choice, str):
        return choice
    if choice not in names:
        raise KitError(what, f"one of {', '.join(names)}", repr(choice))
    return names[choice]


def _known_options(loss: Callable[..., Tensor], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that this loss has; one that only other losses have is left out, one that none has is an error."""
    mine = signature(loss).parameters
    known = {name for one in LOSSES.values() for name in signature(one).parameters} | set(mine)
    known -= {"student", "teacher", "mask"}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise KitError(
            "distil, loss_options", f"options that losses have: {', '.join(sorted(known))}", repr(unknown[0])
        )
    return {name: value for name, value in given.items() if name in mine}


def _flat(values: Any) -> bool:
    known = values[values == values]
    return len(known) == 0 or float(known.max()) == float(known.min())


def _health(student: Tensor, teacher: Tensor, cells: Tensor) -> dict[str, float]:
    """How near the student is: the share of questions with the teacher's best passage first; its entropy in nats."""
    low = torch.finfo(student.dtype).min
    mine, theirs = student.masked_fill(~cells, low), teacher.masked_fill(~cells, low)
    spread = mine.softmax(-1)
    entropy = -(spread * spread.clamp_min(1e-30).log()).sum(-1).mean()
    return {"agreement": float((mine.argmax(-1) == theirs.argmax(-1)).float().mean()), "entropy": float(entropy)}
