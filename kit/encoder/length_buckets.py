"""Which passages to encode together, so that little padding is computed. Knows nothing of models or words.

A pass through an encoder costs its longest passage for every passage, plus something fixed; cutting the passages,
sorted by length, at the right places trades one for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Int
from torch import Tensor

from kit.types import KitError


def length_buckets(
    lengths: Int[Tensor, " x"], *, overhead: float = 0.0, most: int | None = None
) -> list[Int[Tensor, " y"]]:
    """Indices of the passages of each encoder pass, longest first; empty passages are in none.

    The cuts are the cheapest ones, where a pass costs `overhead` tokens and the tokens of its passages padded to its
    longest. At most `most` passages go together, for memory; passages of one length keep their order.

    >>> length_buckets(torch.tensor([3, 9, 0, 3, 8]), overhead=5)
    [tensor([1, 4]), tensor([0, 3])]
    >>> length_buckets(torch.tensor([3, 9, 0, 3, 8]), overhead=50)
    [tensor([1, 4, 0, 3])]
    """
    if most is not None and most < 1:
        raise KitError("micro_batch", "at least 1 passage", most)
    order = torch.argsort(lengths, descending=True, stable=True)[: int((lengths > 0).sum())]
    widths, counts = torch.unique_consecutive(lengths[order], return_counts=True)
    ends = counts.cumsum(0).tolist()
    cuts = _cheapest_cuts(widths.tolist(), [0, *ends], overhead)
    groups = [order[start:end] for start, end in pairwise(cuts)]
    return [part for group in groups for part in (group.split(most) if most else (group,))]


def _cheapest_cuts(widths: Sequence[int], ends: Sequence[int], overhead: float) -> list[int]:
    """Where to cut passages sorted by falling length; from `ends[i]` to `ends[i + 1]` they are `widths[i]` long."""
    cost, came_from = [0.0] + [float("inf")] * len(widths), [0] * (len(widths) + 1)
    for stop in range(1, len(widths) + 1):
        for start in range(stop):
            here = cost[start] + overhead + widths[start] * (ends[stop] - ends[start])
            if here < cost[stop]:
                cost[stop], came_from[stop] = here, start
    cuts = [len(widths)]
    while cuts[-1] > 0:
        cuts.append(came_from[cuts[-1]])
    return [ends[i] for i in reversed(cuts)]
