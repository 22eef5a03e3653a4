"""Invented names and values for the toy encyclopaedia: pools that never run dry, always the same from a seed.

Real names are few and a model could remember them; names drawn from these pools can only be read.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

ONSETS = "b br d dr f g gr h k kl l m n p pr r s st t tr v vl w z".split()
VOWELS = "a e i o u ai ei ou".split()
CODAS = "n r l s t m nd rn sk x".split()
FIRST_NAMES = (
    "Ada Bruno Clara Dario Elsa Felix Greta Hugo Irene Jonas Klara Luca Marta Nils Olga Pavel Rosa Simon Tessa Viktor "
    "Wanda Yara Zoltan Amir Bella Cyril Dora Emil Flora Gustav"
).split()
ADJECTIVES = (
    "Silent Golden Broken Distant Hidden Winter Crimson Hollow Gentle Wandering Northern Forgotten Bright Narrow"
).split()
NOUNS = "Harbour Garden Mirror Lantern River Orchard Tower Shadow Voyage Meadow Clock Bridge Forest Letter".split()


@dataclass(frozen=True)
class Pools:
    """What generated entities are named after: `words` for places and things, `surnames`, `symbols` of elements."""

    words: tuple[str, ...]
    surnames: tuple[str, ...]
    symbols: tuple[str, ...]


@cache
def make_pools(seed: int = 0, words: int = 1600, surnames: int = 500, symbols: int = 120) -> Pools:
    """The pools of a seed; no word stands in two of them.

    >>> pools = make_pools()
    >>> len(pools.words), len(set(pools.words) & set(pools.surnames))
    (1600, 0)
    """
    rng = random.Random(f"names-{seed}")
    drawn: dict[str, None] = {}
    while len(drawn) < words + surnames:
        syllables = rng.choice((2, 2, 3))
        word = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(syllables)) + rng.choice(CODAS)
        if 5 <= len(word) <= 10:
            drawn[word.capitalize()] = None
    names = list(drawn)
    letters = "bcdfghjklmnpqrstvwxz"
    pairs = [a.upper() + b + c for a in letters for b in "qxzjv" for c in letters]
    return Pools(tuple(names[:words]), tuple(names[words:]), tuple(rng.sample(pairs, symbols)))


def person(rng: random.Random, pools: Pools) -> str:
    """A full name, such as "Greta Vlaidorn"."""
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(pools.surnames)}"


def work(rng: random.Random) -> str:
    """The title of a work, such as "The Silent Harbour"."""
    return f"The {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"
