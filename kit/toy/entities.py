"""Entities of the toy encyclopaedia: the real ones of the fact tables, and invented ones with the same relations."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from kit.toy.facts import Kind
from kit.toy.names import Pools, person, work

PERSON_KINDS = ("writer", "painter", "composer", "scientist")
# How an invented entity gets its value, where it is not drawn from the values that real entities have.
INVENTED_VALUES = {
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


def generate_entity(kind: Kind, name: str, entity_id: str, pools: Pools, rng: random.Random) -> Entity:
    """An invented entity of a kind that has a value for every relation; a person's death follows the birth."""
    facts = {}
    for relation in kind.relations:
        how = INVENTED_VALUES.get(relation)
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
    """An invented name for an entity of this kind: two words for people, one for places and things."""
    return person(rng, pools) if kind.name in PERSON_KINDS else rng.choice(pools.words)


def all_entities(kinds: Mapping[str, Kind], pools: Pools, generated: int, rng: random.Random) -> list[Entity]:
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
        if name.split()[-1] in taken:  # no two invented people share a surname
            continue
        taken.add(name.split()[-1])
        entities.append(generate_entity(kind, name, f"{kind.name}-made-{generated}", pools, rng))
        generated -= 1
    return entities
