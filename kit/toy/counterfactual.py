"""Endless reading exercises about worlds that do not exist: names and values drawn anew for each one.

What is true in one exercise is false in the next, so a model can only answer by reading. This is the text that the
toy T5 and the toy BERT are pre-trained on. Knows nothing of models.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kit.toy.entities import Entity, generate_entity, generate_name
from kit.toy.facts import Kind, load_kinds
from kit.toy.names import Pools, make_pools
from kit.toy.passages import choose_lookalikes, render_passage
from kit.toy.world import ask
from kit.types import Passage, Question


@dataclass(frozen=True)
class Exercise:
    """A question or a sentence with a gap, passages to read (`gold` says which state the answer), and the answer."""

    prompt: str
    passages: tuple[Passage, ...]
    answer: str
    gold: tuple[bool, ...]


def imagine(kind: Kind, pools: Pools, rng: random.Random, count: int) -> list[Entity]:
    """`count` entities of a kind with new names and new facts; half of names and values are borrowed from real ones."""
    names: dict[str, None] = {}
    while len(names) < count:
        names[rng.choice(kind.rows)[0] if rng.random() < 0.4 else generate_name(kind, pools, rng)] = None
    entities = []
    for number, name in enumerate(names):
        entity = generate_entity(kind, name, str(number), pools, rng)
        real = {key: rng.choice(kind.values[key]) for key in entity.facts if kind.values[key] and rng.random() < 0.5}
        entities.append(Entity(entity.id, kind.name, name, {**entity.facts, **real}, real=False))
    return entities


def make_exercise(
    kinds: Mapping[str, Kind], pools: Pools, rng: random.Random, *, passages: int, gap: float = 0.5, hard: float = 0.7
) -> Exercise:
    """One exercise with `passages` passages in random order, as a retriever would find them.

    With probability `gap` the prompt is a sentence with a gap, else a question. `hard` is the share of the other
    passages that could be mistaken for the right one: the same entity without the answer, or another entity's answer.
    """
    kind = kinds[rng.choice(list(kinds))]
    entities = imagine(kind, pools, rng, 6)
    target, *others = entities
    name = rng.choice(list(target.facts))
    written = [(write_passage(kind, target, others, rng, required=name), True)]
    while len(written) < passages:
        roll = rng.random()
        if roll < 0.5 * hard:
            written.append((write_passage(kind, target, others, rng, omitted=name), False))
        else:
            other = rng.choice(others)
            rest = [entity for entity in others if entity is not other]
            required = name if roll < hard else None
            named = [target, *rest] if rng.random() < hard else rest
            written.append((write_passage(kind, other, named, rng, required=required, unstated=(target, name)), False))
    rng.shuffle(written)
    relation = kind.relations[name]
    if rng.random() < gap:
        prompt = "fill: " + rng.choice(relation.statements).format(name=target.name, value="<extra_id_0>")
    else:
        prompt = "question: " + ask(relation, target, rng)[0]
    return Exercise(prompt, tuple(p for p, _ in written), target.facts[name], tuple(gold for _, gold in written))


def write_passage(
    kind: Kind,
    entity: Entity,
    others: Sequence[Entity],
    rng: random.Random,
    *,
    required: str | None = None,
    omitted: str | None = None,
    unstated: tuple[Entity, str] | None = None,
) -> Passage:
    """A passage that states `required` and not `omitted` about `entity`, and `unstated` about nobody's look-alike."""
    able = [name for name in entity.facts if name not in (required, omitted)]
    relations = rng.sample(able, min(len(able), rng.choice((0, 1, 1, 2) if required else (1, 1, 2, 3))))
    relations = [required, *relations] if required else relations
    rng.shuffle(relations)
    lookalikes = choose_lookalikes([omitted] if omitted else relations, others, rng, 0.5)
    lookalikes = [item for item in lookalikes if unstated is None or item[0] is not unstated[0]]
    return Passage("x", entity.name, render_passage(kind, entity, relations, others, rng, lookalikes=lookalikes))


def counterfactual_questions(
    count: int, *, passages: int = 10, seed: int = 0
) -> tuple[list[Question], list[list[Passage]], list[list[Passage]]]:
    """Questions about imagined entities, the passages that answer each, and passages about others: the closed book.

    What the first passages state is true nowhere else, so a right answer was read, not remembered.
    """
    rng, kinds, pools = random.Random(f"counterfactual-{seed}"), load_kinds(), make_pools()
    exercises = [make_exercise(kinds, pools, rng, passages=passages, gap=0.0) for _ in range(count)]
    questions, rows = [], []
    for number, exercise in enumerate(exercises):
        text = exercise.prompt.removeprefix("question: ")
        questions.append(Question(f"imagined-{number}", text, (exercise.answer,), exercise.answer))
        rows.append([Passage(f"{number}-{n}", p.title, p.text) for n, p in enumerate(exercise.passages)])
    return questions, rows, rows[1:] + rows[:1]
