"""Padding, and which texts are encoded together: every text once, and no cheaper cut."""

from itertools import combinations

import pytest
import torch

from kit.batches import length_buckets, padded
from kit.types import KitError


def cost(groups, lengths, overhead):
    return sum(overhead + len(group) * int(lengths[group].max()) for group in groups)


@pytest.mark.parametrize("overhead", [0.0, 3.0, 20.0])
def test_no_cut_is_cheaper(overhead):
    generator = torch.Generator().manual_seed(int(overhead))
    for _ in range(20):
        lengths = torch.randint(0, 12, (7,), generator=generator)
        groups = length_buckets(lengths, overhead=overhead)
        order = lengths.argsort(descending=True)[: int((lengths > 0).sum())]
        cuts = (c for n in range(len(order)) for c in combinations(range(1, len(order)), n))
        best = min((cost(order.tensor_split(list(c)), lengths, overhead) for c in cuts if len(order)), default=0)
        assert cost(groups, lengths, overhead) == best
        assert sorted(i for group in groups for i in group.tolist()) == (lengths > 0).nonzero().flatten().tolist()


def test_at_most_so_many_together():
    groups = length_buckets(torch.tensor([5] * 7), overhead=100, most=3)
    assert [len(group) for group in groups] == [3, 3, 1]
    with pytest.raises(KitError, match="batch_size: wanted at least 1, given 0"):
        length_buckets(torch.tensor([5]), most=0)


def test_all_of_one_length_are_one_group_in_their_order():
    assert length_buckets(torch.tensor([4, 4, 4]))[0].tolist() == [0, 1, 2]


def test_padding_is_to_the_longest_or_to_a_length():
    ids, mask = padded([[4, 5], [], [6, 0, 7]], 9)
    assert ids.tolist() == [[4, 5, 9], [9, 9, 9], [6, 0, 7]]
    assert mask.int().tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]]
    ids, mask = padded([[4]], 9, length=3)
    assert ids.tolist() == [[4, 9, 9]] and mask.sum() == 1
    assert padded([], 9)[0].shape == (0, 0)
