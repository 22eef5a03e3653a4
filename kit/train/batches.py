"""What batches consist of: a stream of questions, and each question's candidate passages. Knows no models."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kit.types import KitError, Question, ScoreTable


class Stream:
    """Batches of a stream that goes through all items in a new order each time round.

    >>> stream = Stream("abcd", 2, seed=0)
    >>> sorted(stream.batch(0) + stream.batch(1))
    ['a', 'b', 'c', 'd']
    """

    def __init__(self, items: Sequence[Any], size: int, seed: int) -> None:
        if size < 1:
            raise KitError("training", "batches of at least 1 question", size)
        self.items, self.size, self.seed = items, size, seed
        self._orders: dict[int, list[int]] = {}

    def batch(self, number: int) -> list[Any]:
        """Batch `number` (from 0), which depends on the seed and the number alone."""
        places = (divmod(position, len(self.items)) for position in range(number * self.size, (number + 1) * self.size))
        return [self.items[self._order(turn)[place]] for turn, place in places]

    def _order(self, turn: int) -> list[int]:
        """A permutation of the items for each time round; the last few are kept."""
        if turn not in self._orders:
            while len(self._orders) > 1:
                self._orders.pop(next(iter(self._orders)))
            self._orders[turn] = random.Random(f"{self.seed}-{turn}").sample(range(len(self.items)), len(self.items))
        return self._orders[turn]


def tells_apart(table: ScoreTable, question: Question) -> bool:
    """Whether two scores of the question's passages differ."""
    values = table.values[table.row_of(question.id)]
    values = values[np.isfinite(values)]
    return len(values) > 1 and float(values.max()) > float(values.min())


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
