"""Gaps to fill over several passages, in five levels: recall, statements, pairs, facts, passages.

No question is asked anywhere. An answer stands under its entity's own title or in passing under another's; beside it
stand the same relation of other entities, other facts of the same one, and the same words about another.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from kit.toy.counterfactual import Exercise, imagine
from kit.toy.entities import Entity
from kit.toy.facts import Kind, load_kinds
from kit.toy.names import make_pools
from kit.toy.passages import render_passage
from kit.types import Passage

LEVELS = ("recall", "statements", "pairs", "facts", "passages")
WORDS = dict.fromkeys(LEVELS, (0, 0)) | {"passages": (25, 60)}  # of a passage, with filler: least, most
GAP = "<extra_id_0>"
PHRASES = ("{n} is {v}", "{n} has {v}", "the {n} : {v}", "for {n} it is {v}")


class Exercises:
    """Exercises of every level; a share `dropped` of the longer ones' prompts lacks some of its words."""

    def __init__(self, words: Sequence[str], dropped: float = 0.2) -> None:
        self.dropped = dropped
        self.kinds, self.pools = load_kinds(), make_pools()
        self.words = [word for word in words if word.isalpha() and len(word) > 2]

    def make(self, level: str, rng: random.Random, count: int) -> Exercise:
        if level == "recall":
            return self._recall(rng, count)
        return self._imagined(level, rng, count)

    def _recall(self, rng: random.Random, count: int) -> Exercise:
        """Each passage states one random word of another: only the name says which is meant."""
        names, values = rng.sample(self.words, count), rng.sample(self.words, count)
        passages = []
        for name, value in zip(names, values, strict=True):
            filler = " ".join(rng.sample(self.words, rng.randint(0, 3)))
            title = name if rng.random() < 0.5 else filler or "a"
            text = f"{rng.choice(PHRASES).format(n=name, v=value)} {filler}".strip()
            passages.append((Passage("x", title, text), not passages))
        rng.shuffle(passages)
        return _exercise(rng.choice(PHRASES).format(n=names[0], v=GAP), passages, values[0])

    def _imagined(self, level: str, rng: random.Random, count: int) -> Exercise:
        kind = self.kinds[rng.choice(list(self.kinds))]
        target, *others = imagine(kind, self.pools, rng, max(4, count) if level == "statements" else 6)
        relation = rng.choice(list(target.facts))
        rich = level in ("facts", "passages")
        writer = (Pairs if level == "pairs" else Writer)(kind, target, others, relation, WORDS[level], rich, rng)
        passages = [(writer.gold(), True)]
        if count > 3 and rng.random() < 0.3:
            passages.append((writer.gold(), True))
        while len(passages) < count:
            passages.append((writer.other(), False))
        rng.shuffle(passages)
        prompt = rng.choice(kind.relations[relation].statements)
        if rich and rng.random() < self.dropped:
            kept = rng.uniform(0.5, 1.0)
            prompt = " ".join(w for w in prompt.split() if "{" in w or rng.random() < kept)
        return _exercise(prompt.format(name=target.name, value=GAP), passages, target.facts[relation])


class Writer:
    """Passages beside one fact: those that state it, and those that could be mistaken for them."""

    def __init__(
        self, kind: Kind, target: Entity, others: Sequence[Entity], relation: str, words: tuple[int, int], rich: bool,
        rng: random.Random,
    ) -> None:  # fmt: skip
        self.kind, self.target, self.others, self.relation = kind, target, others, relation
        self.words, self.rich, self.rng = words, rich, rng

    def gold(self) -> Passage:
        """Under the entity's own title, or, in three of ten, in passing under another's."""
        if self.rng.random() < 0.7:
            return self._write(self.target, [self.relation, *self._extra(self.target)])
        title = self.rng.choice(self.others)
        stated = self._extra(title, self.relation if self.rng.random() < 0.5 else None)
        return self._write(title, stated, (self.target, self.relation))

    def other(self) -> Passage:
        rng, roll = self.rng, self.rng.random()
        other = rng.choice(self.others)
        unrelated = [name for name in self.target.facts if name != self.relation]
        if roll < 0.3:  # the entity's own passage, without the fact, perhaps with another's in passing
            aside = (other, self.relation) if self.rich and rng.random() < 0.5 else None
            return self._write(self.target, rng.sample(unrelated, self._size(len(unrelated))), aside)
        if roll < 0.4:  # another's passage, which states another fact of the entity in passing
            return self._write(other, self._extra(other, self.relation), (self.target, rng.choice(unrelated)))
        if roll < 0.5:  # the same words as the answer, about another
            value = {**other.facts, self.relation: self.target.facts[self.relation]}
            other = Entity(other.id, other.kind, other.name, value, real=False)
        if roll < 0.85:
            return self._write(other, [self.relation, *self._extra(other)])
        return self._write(other, rng.sample(list(other.facts), self._size(len(other.facts))))

    def _size(self, most: int) -> int:
        return min(most, self.rng.choice((1, 1, 2, 3))) if self.rich else 1

    def _extra(self, entity: Entity, also: str | None = None) -> list[str]:
        if not self.rich:
            return []
        able = [name for name in entity.facts if name not in (self.relation, also)]
        drawn = self.rng.sample(able, min(len(able), self.rng.choice((0, 1, 1, 2))))
        return [*([also] if also else []), *drawn]

    def _write(self, title: Entity, relations: list[str], aside: tuple[Entity, str] | None = None) -> Passage:
        self.rng.shuffle(relations)
        named = [entity for entity in (self.target, *self.others) if entity is not title]
        text = render_passage(
            self.kind, title, relations, named, self.rng, lookalikes=[aside] if aside else [], words=self.words
        )
        return Passage("x", title.name, text)


class Pairs(Writer):
    """Passages of two sentences about two entities: only the name in its own sentence tells whose a value is."""

    def gold(self) -> Passage:
        """The fact beside the same one of another entity, under the title of either."""
        pair = [self.target, self.rng.choice(self.others)]
        self.rng.shuffle(pair)
        return self._write(pair[0], [self.relation], (pair[1], self.relation))

    def other(self) -> Passage:
        """Two other entities, or one of them beside another fact of the entity, under the title of either."""
        one, two = self.rng.sample(self.others, 2)
        pair = [(one, self.relation), (two, self.relation)]
        if self.rng.random() < 0.6:
            pair[1] = (self.target, self.rng.choice([name for name in self.target.facts if name != self.relation]))
        self.rng.shuffle(pair)
        return self._write(pair[0][0], [pair[0][1]], pair[1])


def _exercise(prompt: str, passages: list[tuple[Passage, bool]], answer: str) -> Exercise:
    return Exercise(f"fill: {prompt}", tuple(p for p, _ in passages), answer, tuple(gold for _, gold in passages))
