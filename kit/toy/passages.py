"""Facts to passages: which passage states what, among look-alikes and sentences that name other entities."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kit.toy.entities import Entity
from kit.toy.facts import Kind
from kit.types import Passage


@dataclass(frozen=True)
class Source:
    """What a passage states: facts (entity id, relation), and whether other entities' facts stand among them."""

    entity: str
    facts: tuple[tuple[str, str], ...]
    lookalikes: tuple[tuple[str, str], ...]


# What a passage is to be: its id, its entity, the relations that it states, and other entities' facts (None: drawn).
Plan = tuple[str, Entity, Sequence[str], Sequence[tuple[Entity, str]] | None]


def write_passages(
    kinds: Mapping[str, Kind], entities: Sequence[Entity], each: int, rng: random.Random
) -> tuple[dict[str, Passage], dict[str, Source]]:
    """Four passages an entity by default: every fact at least once, a third of them with a look-alike's fact."""
    order = [(entity.id, number) for entity in entities for number in range(each)]
    rng.shuffle(order)
    ids = {key: str(position) for position, key in enumerate(order, start=1)}
    plans = (
        (ids[entity.id, number], entity, relations, None)
        for entity in entities
        for number, relations in enumerate(spread_facts(list(entity.facts), each, rng))
    )
    return _write(kinds, entities, plans, rng)


def write_passages_once(
    kinds: Mapping[str, Kind], entities: Sequence[Entity], each: int, in_passing: float, rng: random.Random
) -> tuple[dict[str, Passage], dict[str, Source]]:
    """Every fact in exactly one passage, at most `each` passages an entity.

    A share `in_passing` of the facts stands under another entity's title, beside that entity's own value of the same
    relation: neither the title nor the relation alone tells which value answers a question.
    """
    plans: list[tuple[Entity, list[str], list[tuple[Entity, str]]]] = []
    hosts: dict[tuple[str, str], list[list[tuple[Entity, str]]]] = {}  # of a kind's relation: the look-alikes beside it
    moved = []
    for entity in entities:
        relations = rng.sample(list(entity.facts), len(entity.facts))
        passing = [name for name in relations[1:] if rng.random() < in_passing]
        own = [name for name in relations if name not in passing]
        for part in range(min(each, len(own))):
            plans.append((entity, own[part::each], []))
            for name in plans[-1][1]:
                hosts.setdefault((entity.kind, name), []).append(plans[-1][2])
        moved += [(entity, name, len(plans) - 1) for name in passing]
    for entity, name, last in moved:
        able = hosts.get((entity.kind, name))
        if able:
            min(rng.sample(able, min(8, len(able))), key=len).append((entity, name))
        else:
            plans[last][1].append(name)
    rng.shuffle(plans)
    return _write(kinds, entities, [(str(number), *plan) for number, plan in enumerate(plans, start=1)], rng)


def _write(
    kinds: Mapping[str, Kind], entities: Sequence[Entity], plans: Iterable[Plan], rng: random.Random
) -> tuple[dict[str, Passage], dict[str, Source]]:
    """Passages and what each states, by id, in the order of their numbers."""
    peers = {name: [entity for entity in entities if entity.kind == name] for name in kinds}
    written = {}
    for passage_id, entity, relations, lookalikes in plans:
        kind = kinds[entity.kind]
        others = [other for other in rng.sample(peers[kind.name], 6) if other is not entity][:5]
        if lookalikes is None:
            lookalikes = choose_lookalikes(relations, others, rng)
        text = render_passage(kind, entity, relations, others, rng, lookalikes=lookalikes)
        stated = tuple((entity.id, relation) for relation in relations)
        source = Source(entity.id, stated, tuple((other.id, name) for other, name in lookalikes))
        written[passage_id] = Passage(passage_id, entity.name, text), source
    ids = sorted(written, key=int)
    return {key: written[key][0] for key in ids}, {key: written[key][1] for key in ids}


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


def spread_facts(relations: list[str], passages: int, rng: random.Random) -> list[list[str]]:
    """Which relations each of an entity's passages states: mostly one to three, and every relation at least once."""
    sizes = [min(len(relations), size) for size in rng.choices((1, 2, 3), (0.5, 0.35, 0.15), k=passages)]
    while sum(sizes) < len(relations):
        sizes[sizes.index(min(sizes))] += 1
    spread: list[list[str]] = []
    queue: list[str] = []
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
