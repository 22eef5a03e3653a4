"""Recipes: the published ways to teach a retriever, each one object that names teacher, loss, student and batches.

`RECIPES` has them by name; `train_recipe` trains one, at toy scale or at full scale (as published). Teacher and loss
stay separate choices: `replace(RECIPES["fid-kd"], teacher="pdist", loss="margin_mse")` is a recipe too. Sources:
[C] released code, [D] its documentation, [P] paper (second-hand), [M] from memory, unverified; [K] the kit's choice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, Unpack

from jaxtyping import Bool, Float
from torch import Tensor

from kit.arguments import named, one_of
from kit.encoder import DualEncoder, family_named
from kit.losses import LOSSES, emdr2
from kit.optimisation import full_scale
from kit.teachers import TEACHERS, Teacher
from kit.train import (
    DISTILLATION,
    Distillation,
    InBatch,
    RunOptions,
    TopicBalanced,
    TrainingHistory,
    distil,
    train_in_batch,
    train_topic_balanced,
)
from kit.types import KitError, Passage, Question, ScoreTable

Config = Distillation | InBatch | TopicBalanced
SCALES = ("toy", "full")
BATCHES = {"listwise": Distillation, "pairs": Distillation, "in-batch": InBatch, "topic-balanced": TopicBalanced}


def marginal_likelihood(
    student: Float[Tensor, "q k"],
    teacher: Float[Tensor, "q k"],
    mask: Bool[Tensor, "q k"] | None = None,
    *,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """EMDR2 as a loss of two score tables: mean over questions of -log sum_k softmax(student)_k exp(teacher_k), nats.

    The teacher's scores are log-likelihoods of the whole answer (`answer_likelihood`). Source: `kit.losses.emdr2`.

    >>> import torch
    >>> marginal_likelihood(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.5, 0.25]]).log())  # -log 0.375
    tensor(0.9808)
    """
    cells = teacher.isfinite() if mask is None else mask.bool() & teacher.isfinite()
    words = cells.any(1, keepdim=True)  # (q, 1)
    return emdr2(teacher.unsqueeze(-1), student, words, cells, per="sequence", temperature=temperature)


RECIPE_LOSSES: dict[str, Callable[..., Tensor]] = {**LOSSES, "emdr2": marginal_likelihood}
NO_TEACHER = "labels"


@dataclass(frozen=True)
class Recipe:
    """One way to teach a retriever. `teacher`, `loss` and `family` are names; see the tables above, `FAMILIES`."""

    name: str
    what: str  # one sentence
    source: str
    teacher: str  # of `kit.teachers.TEACHERS`, or "labels": passages that hold the answer
    loss: str  # of RECIPE_LOSSES, or "in_batch_nll"
    family: str  # of the published student
    batches: str  # "listwise": own passages; "pairs": two of them; "in-batch": all of the batch; "topic-balanced"
    full: Config  # as published
    toy: Config

    def __post_init__(self) -> None:
        where = f"recipe {self.name!r}"
        one_of(f"{where}, batches", self.batches, BATCHES)
        one_of(f"{where}, teacher", self.teacher, [*TEACHERS, NO_TEACHER])
        if (self.batches == "in-batch") != (self.teacher == NO_TEACHER):
            raise KitError(where, "batches 'in-batch' with teacher 'labels' and only then", f"{self.teacher!r}")
        fixed = {"in-batch": ["in_batch_nll"], "topic-balanced": ["margin_mse"]}
        one_of(f"{where}, loss", self.loss, fixed.get(self.batches, RECIPE_LOSSES))
        family_named(self.family)
        for config in (self.full, self.toy):
            if not isinstance(config, BATCHES[self.batches]):
                wanted = f"a {BATCHES[self.batches].__name__} for {self.batches} batches"
                raise KitError(where, wanted, type(config).__name__)

    def config(self, scale: str = "toy", *, steps: int | None = None, seed: int | None = None) -> Config:
        """How it is trained at a scale; with `steps` for so many (the warm-up in proportion), with another seed.

        >>> RECIPES["fid-kd"].config("full", steps=2000).optimisation.warmup_steps  # of 20,000: 1,000
        100
        """
        one_of("scale", scale, SCALES)
        chosen: Config = getattr(self, scale)
        changes = {name: value for name, value in (("steps", steps), ("seed", seed)) if value is not None}
        return replace(chosen, optimisation=chosen.optimisation.changed(**changes))

    def changed(
        self,
        scale: str,
        *,
        loss: str | None = None,
        loss_options: Mapping[str, float] | None = None,
        questions: int | None = None,
        passages: int | None = None,
        optimisation: Mapping[str, Any] | None = None,
    ) -> Recipe:
        """The recipe with other settings at a scale; another loss leaves the options of the recipe's behind.

        >>> RECIPES["fid-kd"].changed("toy", loss="margin_mse", optimisation={"steps": 8}).toy.loss_options
        {}
        """
        config: Any = self.config(scale)
        where = f"recipe {self.name!r}"
        changes: dict[str, Any] = {"optimisation": config.optimisation.changed(**(optimisation or {}))}
        if questions is not None:
            changes["questions"] = questions
        if passages is not None:
            if self.batches != "listwise":
                wanted = f"none: batches of {self.name} are made of {self.batches} passages"
                raise KitError(f"{where}, passages", wanted, passages)
            changes["passages"] = passages
        if loss is None and not loss_options:
            return self._at(scale, replace(config, **changes))
        if self.batches not in ("listwise", "pairs"):
            name, value = next(iter({**({"loss": loss} if loss else {}), **(loss_options or {})}.items()))
            raise KitError(f"{where}, {name}", f"none: {self.name} has its own loss", repr(value))
        kept = {} if loss not in (None, self.loss) else config.loss_options
        loss = one_of(f"{where}, loss", loss or self.loss, RECIPE_LOSSES)
        for name, value in (loss_options or {}).items():
            if name not in signature(RECIPE_LOSSES[loss]).parameters:
                raise KitError(f"{where}, {name}", "a loss with a temperature (kl, reverse_kl, js, ...)", repr(loss))
            if value <= 0:
                raise KitError(f"{where}, {name}", "a number above 0", value)
        changes["loss_options"] = {**kept, **(loss_options or {})}
        return replace(self, loss=loss)._at(scale, replace(config, **changes))

    def _at(self, scale: str, config: Config) -> Recipe:
        return replace(self, toy=config) if scale == "toy" else replace(self, full=config)


_TOY_LISTS = DISTILLATION["toy"]  # [K] the toy's, measured with fid-kd: its temperatures are for that teacher
_TOY = _TOY_LISTS.optimisation  # [K] for every recipe, with batches of about as many passages
# [C] Atlas's example script: rate, warm-up, weight decay, steps, 64 questions (4 x 16) x 40 passages, temperatures of
# 0.01 after q.p / sqrt(768), which Contriever's plain q.p takes up in its own. [K] linear (theirs: cosine); the reader
# stands still and its scores are a table (theirs trains along, the index follows).
_ATLAS = full_scale(10_000, 4e-5, warmup_steps=100, weight_decay=0.01, accumulate=16)
_ATLAS_STUDENT = 0.01 * 768**0.5


def _atlas(name: str, teacher: str, what: str, toy_temperature: float) -> Recipe:
    full = {"temperature": _ATLAS_STUDENT, "teacher_temperature": 0.01}
    return Recipe(
        name, what, "Atlas (Izacard et al. 2022, arXiv 2208.03299), section 2.2",
        teacher, "kl", "contriever", "listwise",
        full=Distillation(_ATLAS, questions=4, passages=40, loss_options=full),
        toy=replace(_TOY_LISTS, loss_options={"temperature": 1.0, "teacher_temperature": toy_temperature}),
    )  # fmt: skip


_ALL = (
    Recipe(
        "fid-kd", "The retriever learns where a FiD reader looks: its mean first-token cross-attention, by KL.",
        "FiD-KD (Izacard & Grave 2021, arXiv 2012.04584), section 3", "fid_kd", "kl", "fid-kd", "listwise",
        # [D] rate 1e-4, 20,000 steps of a schedule of 30,000 (it ends at 34%), warm-up 1,000, weight decay 0.1, clip 1,
        # 100 passages; [M] 64 questions a step (4 x 16). [K] bf16.
        full=DISTILLATION["full"],
        toy=_TOY_LISTS,
    ),
    Recipe(
        "rdr", "DPR's retriever learns which passage DPR's extractive reader would choose, by KL.",
        "RDR (Yang & Seo 2020, arXiv 2010.10999)", "extractive_reader", "kl", "dpr", "listwise",
        # [P] KL over a list of candidates, both towers trained on from DPR's. Temperature, list, rate, steps and batch
        # were not recovered: [K] temperature 1, 24 passages (the reader's own number), rate 1e-5 (DPR's paper), 16
        # questions, 20,000 steps; [C] DPR's clip 2 and warm-up 1,237.
        full=Distillation(full_scale(20_000, 1e-5, warmup_steps=1237, max_grad_norm=2.0), questions=16, passages=24),
        toy=replace(_TOY_LISTS, loss_options={}),
    ),
    Recipe(
        "margin-mse", "The retriever learns by how much a cross-encoder prefers one passage to another.",
        "Hofstaetter et al. 2020 (arXiv 2010.02666)", "cross_encoder", "margin_mse", "bert-dot", "pairs",
        # [C] rate 7e-6, no weight decay; [D] 32 pairs a step. Early stopping ended it: [K] 200,000 steps, clip 1, a
        # constant rate (theirs: cosine). Its teacher T2 is the mean of three (`kit.teachers.Ensemble`).
        full=Distillation(full_scale(200_000, 7e-6, schedule="constant"), questions=32, passages=2),
        toy=Distillation(_TOY, questions=64, passages=2),
    ),
    Recipe(
        "dpr", "The retriever learns from labels: the passage with the answer against a hard one and the batch.",
        "DPR (Karpukhin et al. 2020, arXiv 2004.04906), section 3.2", "labels", "in_batch_nll", "dpr", "in-batch",
        # [C] rate 2e-5 (paper 1e-5), warm-up 1,237, clip 2, 40 epochs of 58,880 questions at 128 = 18,400 steps, one
        # hard negative; [M] linear. All 128 on one device (theirs: 8 with 16 each): negatives are those of a process.
        full=InBatch(full_scale(18_400, 2e-5, warmup_steps=1237, max_grad_norm=2.0), questions=128, negatives=1),
        toy=InBatch(_TOY, questions=64, negatives=1),
    ),
    Recipe(
        "tas-b", "Margin-MSE on batches of one topic, pairs balanced over margins, a second teacher for the batch.",
        "TAS-B (Hofstaetter et al. 2021, arXiv 2104.06967)",
        "cross_encoder", "margin_mse", "bert-dot", "topic-balanced",
        # [C] 32 questions of one topic, 10 bins, 0.75 for the in-batch part, rate 7e-6; [M] 2,000 topics. The second
        # teacher is a ColBERT there. [K] 200,000 steps, a constant rate; the positive is what the teacher likes best.
        full=TopicBalanced(full_scale(200_000, 7e-6, schedule="constant"), questions=32, clusters=2000),
        toy=TopicBalanced(_TOY, questions=12, clusters=40),
    ),
    _atlas("atlas-pdist", "pdist", "The retriever learns how likely each passage alone makes the answer.", 0.5),
    _atlas("atlas-loop", "loop", "The retriever learns how unlikely the answer becomes without each passage.", 0.3),
    _atlas("atlas-adist", "adist", "The retriever learns the reader's attention times the length of values.", 0.001),
    Recipe(
        "atlas-emdr2", "The retriever is one part of the answer's likelihood, summed over the passages it would draw.",
        "EMDR2 (Sachan et al. 2021, arXiv 2106.05346), as in Atlas (2208.03299), section 2.2",
        "answer_likelihood", "emdr2", "contriever", "listwise",
        # As the other three, but a teacher's temperature of 1; [K] the whole answer at once, as in the EMDR2 paper (its
        # formula [M]; Atlas's code: each token by itself).
        full=Distillation(_ATLAS, questions=4, passages=40, loss_options={"temperature": _ATLAS_STUDENT}),
        toy=replace(_TOY_LISTS, loss_options={}),
    ),
)  # fmt: skip
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}


def train_recipe(
    recipe: Recipe | str,
    encoder: DualEncoder,
    questions: Sequence[Question],
    corpus: Mapping[str, Passage],
    table: ScoreTable,
    teacher: Teacher | None = None,
    *,
    second: Teacher | None = None,
    scale: str = "toy",
    steps: int | None = None,
    seed: int | None = None,
    **run: Unpack[RunOptions],
) -> TrainingHistory:
    """Train `encoder` in place as a recipe (an object or its name) describes; returns the history.

    `table`: the passages of each question, and their scores: the teacher's, or with a `teacher` any, which it replaces
    (for example the retriever's). A recipe without a teacher ("dpr") takes the best passages by the table's own scores.
    `second`: the teacher of the batch, for "tas-b" alone; without one `teacher` serves twice. `encoder` is trained as
    it is: `student_of` makes it of the recipe's family. `scale`, `steps`, `seed`: see `Recipe.config`; `run`: see
    `RunOptions`. Passages that a teacher should score beside the retrieved ones: `kit.retrieve.add_random_passages`.
    """
    recipe = named_recipe(recipe)
    config = recipe.config(scale, steps=steps, seed=seed)
    if isinstance(config, InBatch):
        if teacher is not None:
            raise KitError(f"recipe {recipe.name!r}", "no teacher: it learns from labels", type(teacher).__name__)
        return train_in_batch(encoder, questions, corpus, table, config, **run)
    if teacher is not None:
        table = teacher.score(questions, corpus, table, progress=run.get("progress", True))
    if isinstance(config, TopicBalanced):
        second = second or teacher
        if second is None:
            wanted = "a second teacher, which scores the passages of a batch while training goes on"
            raise KitError(f"recipe {recipe.name!r}", wanted, "none")
        return train_topic_balanced(encoder, questions, corpus, table, second, config, **run)
    return distil(encoder, questions, corpus, table, RECIPE_LOSSES[recipe.loss], config, **run)


def named_recipe(recipe: Recipe | str) -> Recipe:
    """The recipe itself, or the one of this name. Raises `KitError` if `RECIPES` does not have the name."""
    return named("recipe", recipe, RECIPES, Recipe)


def student_of(recipe: Recipe | str, start: DualEncoder, scale: str = "toy") -> DualEncoder:
    """A student for a recipe that begins with the weights of `start`, which stays as it is.

    Full: of the recipe's family. Toy: as `start` makes its vectors (the shipped BERT was pre-trained for that),
    with the recipe's one or two towers. Two towers begin as equal copies of the question's.
    """
    one_of("scale", scale, SCALES)
    family = family_named(named_recipe(recipe).family)
    if scale == "toy":
        name = f"{start.family.name}, two towers" if family.two_towers else start.family.name
        family = replace(start.family, name=name, two_towers=family.two_towers)
    if family == start.family:
        return copy.deepcopy(start)
    if family.dimension is not None:
        raise KitError("student_of", f"a start of family {family.name!r} with its projection", start.family.name)
    towers = [copy.deepcopy(start.question_tower) for _ in range(1 + family.two_towers)]
    return DualEncoder(*towers, family=family, tokenizer=start._tokenizer).to(start.device).eval()
