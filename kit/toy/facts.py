"""The toy's fact tables and sentences, read from data/toy: kinds of entity, their relations, their real entities."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kit.files import read_json
from kit.shipped import DATA
from kit.types import KitError


@dataclass(frozen=True)
class Relation:
    """One relation of a kind: statements, with and without the name, and questions, as people write and type them."""

    name: str
    statements: tuple[str, ...]
    pronoun: tuple[str, ...]
    questions: tuple[str, ...]
    typed: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of entity, its relations, and the sentences that name two entities without stating a fact."""

    name: str
    relations: Mapping[str, Relation]
    mentions: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    rows: tuple[tuple[str, Mapping[str, str]], ...]


@cache
def load_kinds(folder: Path = DATA) -> dict[str, Kind]:
    """The kinds of entity with their sentences and real facts, read from `folder`.

    >>> kinds = load_kinds()
    >>> "capital" in kinds["country"].relations
    True
    """
    kinds = {}
    for path in sorted((folder / "templates").glob("*.json")):
        spec = read_json(path)
        relations = {
            name: Relation(name, *(tuple(texts[key]) for key in ("statements", "pronoun", "questions", "typed")))
            for name, texts in spec["relations"].items()
        }
        facts = folder / "facts" / f"{spec['kind']}.tsv"
        rows = _read_facts(facts, relations)
        values = {name: tuple(sorted({row[name] for _, row in rows if name in row})) for name in relations}
        kinds[spec["kind"]] = Kind(spec["kind"], relations, tuple(spec["mentions"]), values, rows)
    if not kinds:
        raise KitError(str(folder), "the toy's templates and facts (data/toy of a checkout)", "nothing")
    return kinds


def _read_facts(path: Path, relations: Mapping[str, Relation]) -> tuple[tuple[str, dict[str, str]], ...]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        unknown = set(reader.fieldnames or ()) - {"name", *relations}
        if unknown or "name" not in (reader.fieldnames or ()):
            raise KitError(f"{path}:1", f"columns name, {', '.join(relations)}", f"{reader.fieldnames}")
        return tuple((row.pop("name"), {key: value for key, value in row.items() if value}) for row in reader)
