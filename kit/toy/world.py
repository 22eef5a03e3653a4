"""The toy encyclopaedia: fact tables to passages and questions, everything from a seed.

Real facts come from data/toy/facts, sentences from data/toy/templates; generated entities fill the same relations with
invented names. An entity's facts are spread over several short passages, among sentences that name other entities, so
that a retriever must find the right passage and a reader must read it. Knows nothing of models.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kit.toy.entities import Entity, all_entities
from kit.toy.facts import Relation, load_kinds
from kit.toy.names import make_pools
from kit.toy.passages import Source, write_passages, write_passages_once
from kit.types import KitError, Passage, Question

WORDINGS = ("written", "typed", "both")
SPLITS = {"train": 0.6, "dev": 0.1, "test": 0.3}


@dataclass(frozen=True)
class ToyWorld:
    """The encyclopaedia: `passages` (id -> Passage), `questions` by split, and where each fact stands.

    `sources` says what each passage states; `asks` says which fact (entity id, relation) a question is about.
    """

    entities: Mapping[str, Entity]
    passages: Mapping[str, Passage]
    sources: Mapping[str, Source]
    questions: Mapping[str, tuple[Question, ...]]
    asks: Mapping[str, tuple[str, str]]

    @cached_property
    def gold(self) -> dict[str, tuple[str, ...]]:
        """Question id -> the ids of the passages that state its answer about the entity it asks for."""
        stated: dict[tuple[str, str], list[str]] = {}
        for passage_id, source in self.sources.items():
            for fact in source.facts + source.lookalikes:
                stated.setdefault(fact, []).append(passage_id)
        return {question: tuple(stated[fact]) for question, fact in self.asks.items()}


def ask(relation: Relation, entity: Entity, rng: random.Random, count: int = 1, wordings: str = "written") -> list[str]:
    """`count` different questions for one fact."""
    templates = {"written": relation.questions, "typed": relation.typed, "both": relation.questions + relation.typed}
    return [template.format(name=entity.name) for template in rng.sample(templates[wordings], count)]


def build_world(
    seed: int = 0,
    *,
    generated: int = 1000,
    passages_each: int = 4,
    questions_each: int = 2,
    facts_once: bool = False,
    in_passing: float = 0.3,
    wordings: str = "written",
) -> ToyWorld:
    """The encyclopaedia of a seed: every real entity and `generated` invented ones.

    Split by entity: no entity of a test question is one of train's or dev's. As a rule a fact stands in several
    passages, always in one under its entity's own title; with `facts_once` it stands in one alone, and in a share
    `in_passing` of the cases under another entity's title. `wordings`: questions in whole sentences ("written"), as
    people type them ("typed": short, often without a question mark), or "both". Takes seconds. Raises `KitError` if
    `in_passing` is no share or `wordings` none of these.

    >>> world = build_world(generated=20)
    >>> passage_id = world.gold[world.questions["test"][0].id][0]
    >>> world.questions["test"][0].answers[0] in world.passages[passage_id].text
    True
    """
    if not 0 <= in_passing <= 1:
        raise KitError("build_world, in_passing", "a share from 0 to 1", in_passing)
    if wordings not in WORDINGS:
        raise KitError("build_world, wordings", f"one of {', '.join(WORDINGS)}", repr(wordings))
    rng = random.Random(f"world-{seed}")
    kinds = load_kinds()
    entities = all_entities(kinds, make_pools(), generated, rng)
    if facts_once:
        passages, sources = write_passages_once(kinds, entities, passages_each, in_passing, rng)
    else:
        passages, sources = write_passages(kinds, entities, passages_each, rng)
    questions: dict[str, list[Question]] = {split: [] for split in SPLITS}
    asks = {}
    for split, members in _split(entities, rng).items():
        for entity in members:
            for name, value in entity.facts.items():
                for text in ask(kinds[entity.kind].relations[name], entity, rng, questions_each, wordings):
                    question = Question(f"{split}-{len(questions[split])}", text, (value,), value)
                    questions[split].append(question)
                    asks[question.id] = (entity.id, name)
    frozen = {split: tuple(rng.sample(items, len(items))) for split, items in questions.items()}
    return ToyWorld({entity.id: entity for entity in entities}, passages, sources, frozen, asks)


def _split(entities: Sequence[Entity], rng: random.Random) -> dict[str, list[Entity]]:
    """Entities by split; real and generated ones, and every kind, are split in the same shares."""
    split: dict[str, list[Entity]] = {name: [] for name in SPLITS}
    groups: dict[tuple[str, bool], list[Entity]] = {}
    for entity in entities:
        groups.setdefault((entity.kind, entity.real), []).append(entity)
    for members in groups.values():
        shuffled = rng.sample(members, len(members))
        start = 0.0
        for name, share in SPLITS.items():
            stop = start + share
            split[name] += shuffled[round(start * len(members)) : round(stop * len(members))]
            start = stop
    return split
