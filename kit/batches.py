"""Batches of token ids: padded to one tensor, and cut so that little padding is computed. Knows no models or words.

A pass through an encoder costs its longest text for every text, plus something fixed; cutting the texts, sorted by
length, at the right places trades one for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kit.types import KitError


def padded(
    rows: Sequence[Sequence[int]], pad: int, *, length: int = 0, device: torch.device | str = "cpu"
) -> tuple[Int[Tensor, "x t"], Bool[Tensor, "x t"]]:
    """Ids (x, t), filled up with `pad` to the longest row or to `length`, and a mask (x, t) of what is not filled.

    >>> padded([[5, 6, 7], [8]], 0)[0].tolist()
    [[5, 6, 7], [8, 0, 0]]
    """
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
    filler = torch.empty(max(length, int(lengths.max()) if len(rows) else 0), dtype=torch.long)
    ids = pad_sequence([*(torch.tensor(row, dtype=torch.long) for row in rows), filler], True, pad)[:-1]  # (x, t)
    return ids.to(device), (torch.arange(ids.shape[1]) < lengths[:, None]).to(device)


def pass_overhead(width: int, device: torch.device) -> float:
    """What a pass through an encoder of this width costs beside its tokens, in tokens.

    The smaller the model, the more it weighs: on one CPU core 59 tokens at d = 128 and 32 at d = 512. For a GPU it is
    an estimate, not measured: 15 kernels of 5 microseconds a layer, against 24 d^2 operations a token at 3e14 a second.
    """
    return 1e9 / width**2 if device.type == "cuda" else max(32.0, 1e6 / width**2)


def length_buckets(
    lengths: Int[Tensor, " x"], *, overhead: float = 0.0, most: int | None = None
) -> list[Int[Tensor, " y"]]:
    """Indices of the texts of each encoder pass, longest first; empty texts are in none.

    The cuts are the cheapest ones, where a pass costs `overhead` tokens and the tokens of its texts padded to its
    longest. At most `most` texts go together, for memory; texts of one length keep their order.

    >>> length_buckets(torch.tensor([3, 9, 0, 3, 8]), overhead=5)
    [tensor([1, 4]), tensor([0, 3])]
    >>> length_buckets(torch.tensor([3, 9, 0, 3, 8]), overhead=50)
    [tensor([1, 4, 0, 3])]
    """
    if most is not None and most < 1:
        raise KitError("batch_size", "at least 1", most)
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
