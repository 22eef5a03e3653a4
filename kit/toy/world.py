"""The toy encyclopaedia: fact tables to passages and questions, everything from a seed.

Real facts come from data/toy/facts, sentences from data/toy/templates; generated entities fill the same relations with
made-up names. An entity's facts are spread over several short passages, among sentences that name other entities, so
that a retriever must find the right passage and a reader must read it. Knows nothing of models.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kit.toy.facts import Kind, Relation, load_kinds
from kit.toy.names import Pools, make_pools, person, work
from kit.types import Passage, Question

SPLITS = {"train": 0.6, "dev": 0.1, "test": 0.3}
PERSON_KINDS = ("writer", "painter", "composer", "scientist")
# How a generated entity's value is made, where it is not drawn from the values that real entities have.
MADE_VALUES = {
    "capital": "word", "currency": "word", "birthplace": "word", "mouth": "word", "range": "word",
    "discoverer": "person", "inventor": "person", "work": "work", "symbol": "symbol",
    "number": (119, 199), "calling_code": (200, 999), "year": (1700, 1990), "ascent_year": (1790, 1980),
    "birth_year": (1560, 1920), "death_year": (1640, 1990),
}  # fmt: skip


@dataclass(frozen=True)
class Entity:
    """Something to ask about: its name, its facts (relation -> value), and whether it is real."""

    id: str
    kind: str
    name: str
    facts: Mapping[str, str]
    real: bool


@dataclass(frozen=True)
class Source:
    """What a passage states: facts (entity id, relation), and whether other entities' facts stand among them."""

    entity: str
    facts: tuple[tuple[str, str], ...]
    lookalikes: tuple[tuple[str, str], ...]


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


def generate_entity(kind: Kind, name: str, entity_id: str, pools: Pools, rng: random.Random) -> Entity:
    """A made-up entity of a kind that has a value for every relation; a person's death follows the birth."""
    facts = {}
    for relation in kind.relations:
        how = MADE_VALUES.get(relation)
        if how == "word":
            facts[relation] = rng.choice(pools.words)
        elif how == "person":
            facts[relation] = person(rng, pools)
        elif how == "work":
            facts[relation] = work(rng)
        elif how == "symbol":
            facts[relation] = rng.choice(pools.symbols)
        elif isinstance(how, tuple):
            facts[relation] = str(rng.randint(*how))
        else:
            facts[relation] = rng.choice(kind.values[relation])
    if "birth_year" in facts and "death_year" in facts:
        facts["death_year"] = str(int(facts["birth_year"]) + rng.randint(35, 90))
    return Entity(entity_id, kind.name, name, facts, real=False)


def generate_name(kind: Kind, pools: Pools, rng: random.Random) -> str:
    """A made-up name for an entity of this kind: two words for people, one for places and things."""
    return person(rng, pools) if kind.name in PERSON_KINDS else rng.choice(pools.words)


def render_passage(
    kind: Kind,
    entity: Entity,
    relations: Sequence[str],
    others: Sequence[Entity],
    rng: random.Random,
    *,
    lookalikes: Sequence[tuple[Entity, str]] = (),
    words: tuple[int, int] = (25, 60),
) -> str:
    """A text of `words` words (least, most) that states `relations` of `entity`.

    `lookalikes` are facts of other entities, stated as well; `others` are named in sentences without a fact, as many as
    the length asks for. A sentence without the entity's name always follows one about the entity.
    """
    sentences: list[list[str]] = []
    for position, relation in enumerate(relations):
        pronoun = position > 0 and rng.random() < 0.5
        template = rng.choice(kind.relations[relation].pronoun if pronoun else kind.relations[relation].statements)
        text = template.format(name=entity.name, value=entity.facts[relation])
        if pronoun:
            sentences[-1].append(text)
        else:
            sentences.append([text])
    for other, relation in lookalikes:
        template = rng.choice(kind.relations[relation].statements)
        sentences.append([template.format(name=other.name, value=other.facts[relation])])
    count = sum(len(text.split()) for group in sentences for text in group)
    mentions = list(kind.mentions)
    rng.shuffle(mentions)
    for mention in mentions:
        if count >= words[0] and (count > words[1] - 14 or rng.random() < 0.5):
            break
        pair = [entity.name, rng.choice(others).name]
        rng.shuffle(pair)
        text = mention.format(name=pair[0], other=pair[1])
        count += len(text.split())
        if count > words[1]:
            break
        sentences.append([text])
    rng.shuffle(sentences)
    return " ".join(text[0].upper() + text[1:] for group in sentences for text in group)


def ask(relation: Relation, entity: Entity, rng: random.Random, count: int = 1) -> list[str]:
    """`count` different questions for one fact."""
    return [template.format(name=entity.name) for template in rng.sample(relation.questions, count)]


def build_world(seed: int = 0, *, generated: int = 1000, passages_each: int = 4, questions_each: int = 2) -> ToyWorld:
    """The encyclopaedia of a seed: every real entity and `generated` made-up ones.

    Split by entity: no entity of a test question is asked about in train or dev. Takes seconds.

    >>> world = build_world(generated=20)
    >>> passage_id = world.gold[world.questions["test"][0].id][0]
    >>> world.questions["test"][0].answers[0] in world.passages[passage_id].text
    True
    """
    rng = random.Random(f"world-{seed}")
    kinds = load_kinds()
    entities = _all_entities(kinds, make_pools(), generated, rng)
    passages, sources = _write_passages(kinds, entities, passages_each, rng)
    questions: dict[str, list[Question]] = {split: [] for split in SPLITS}
    asks = {}
    for split, members in _split(entities, rng).items():
        for entity in members:
            for name, value in entity.facts.items():
                for text in ask(kinds[entity.kind].relations[name], entity, rng, questions_each):
                    question = Question(f"{split}-{len(questions[split])}", text, (value,), value)
                    questions[split].append(question)
                    asks[question.id] = (entity.id, name)
    frozen = {split: tuple(rng.sample(items, len(items))) for split, items in questions.items()}
    return ToyWorld({entity.id: entity for entity in entities}, passages, sources, frozen, asks)


def _all_entities(kinds: Mapping[str, Kind], pools: Pools, generated: int, rng: random.Random) -> list[Entity]:
    entities = [
        Entity(f"{kind.name}-{number}", kind.name, name, facts, real=True)
        for kind in kinds.values()
        for number, (name, facts) in enumerate(kind.rows)
    ]
    taken = {entity.name.split()[-1] for entity in entities}
    names = list(kinds)
    while generated:
        kind = kinds[names[generated % len(names)]]
        name = generate_name(kind, pools, rng)
        if name.split()[-1] in taken:  # no two made-up people share a surname
            continue
        taken.add(name.split()[-1])
        entities.append(generate_entity(kind, name, f"{kind.name}-made-{generated}", pools, rng))
        generated -= 1
    return entities


def _write_passages(
    kinds: Mapping[str, Kind], entities: Sequence[Entity], each: int, rng: random.Random
) -> tuple[dict[str, Passage], dict[str, Source]]:
    """Four passages an entity by default: every fact at least once, a third of them with a look-alike's fact."""
    peers = {name: [entity for entity in entities if entity.kind == name] for name in kinds}
    order = [(entity, number) for entity in entities for number in range(each)]
    rng.shuffle(order)
    ids = {key: str(position + 1) for position, key in enumerate((entity.id, number) for entity, number in order)}
    passages, sources = {}, {}
    for entity in entities:
        kind = kinds[entity.kind]
        for number, relations in enumerate(spread_facts(list(entity.facts), each, rng)):
            others = rng.sample(peers[kind.name], 6)
            others = [other for other in others if other is not entity][:5]
            lookalikes = choose_lookalikes(relations, others, rng)
            text = render_passage(kind, entity, relations, others, rng, lookalikes=lookalikes)
            passage_id = ids[entity.id, number]
            passages[passage_id] = Passage(passage_id, entity.name, text)
            stated = tuple((entity.id, relation) for relation in relations)
            sources[passage_id] = Source(entity.id, stated, tuple((other.id, name) for other, name in lookalikes))
    key = sorted(passages, key=int)
    return {i: passages[i] for i in key}, {i: sources[i] for i in key}


def spread_facts(relations: list[str], passages: int, rng: random.Random) -> list[list[str]]:
    """Which relations each of an entity's passages states: mostly one to three, and every relation at least once."""
    sizes = [min(len(relations), size) for size in rng.choices((1, 2, 3), (0.5, 0.35, 0.15), k=passages)]
    while sum(sizes) < len(relations):
        sizes[sizes.index(min(sizes))] += 1
    spread, queue = [], []
    for size in sizes:
        chosen: list[str] = []
        while len(chosen) < size:
            if not [name for name in queue if name not in chosen]:
                queue += rng.sample(relations, len(relations))
            chosen.append(next(name for name in queue if name not in chosen))
            queue.remove(chosen[-1])
        spread.append(chosen)
    return spread


def choose_lookalikes(
    relations: Sequence[str], others: Sequence[Entity], rng: random.Random, share: float = 0.4
) -> list[tuple[Entity, str]]:
    """With probability `share`, a fact of another entity under one of the passage's own relations."""
    if rng.random() >= share:
        return []
    relation = rng.choice(relations)
    able = [other for other in others if relation in other.facts]
    return [(rng.choice(able), relation)] if able else []


def split_of(question: Question) -> str:
    """The split that a toy question belongs to."""
    return question.id.split("-")[0]


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
