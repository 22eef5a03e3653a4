"""The comparison of losses behind notebook 07, at the smallest size: its rows, and that it goes on where it stopped."""

from __future__ import annotations

import torch
from loss_comparison import CONDITIONS, RATE, RATES, Sizes, compare, noisy_reader
from tiny_course import tiny_course

SIZES = Sizes(questions=6, listed=4, drawn=2, steps=2, batch=3, passages=4, test=5)


def test_rows_of_every_rate_and_of_the_better_one_for_later_seeds(small_encoder, small_reader, tmp_path):
    toy = tiny_course(small_encoder, small_reader, tmp_path)
    names = ("kl, teacher temperature 4", "kl, standardised, noise 0.7")
    rows = compare(tmp_path, names=names, seeds=(0, 1), sizes=SIZES, toy=toy)
    assert [row["condition"] for row in rows[:2]] == ["BM25", "start"]
    mine = [row for row in rows if row["condition"] == names[0]]
    assert [row["seed"] for row in mine] == [0, 0, 1]
    assert [row["rate"] for row in rows if row["condition"] == names[1]] == [RATE, RATE]
    assert [row["rate"] for row in mine[:2]] == list(RATES)
    assert mine[2]["rate"] == max(mine[:2], key=lambda row: row["dev"]["5"])["rate"]
    assert all(0 <= row["recall"]["1"] <= row["recall"]["100"] <= 1 for row in rows)
    again = compare(tmp_path, names=names, seeds=(0, 1), sizes=SIZES, toy=toy)
    assert [row.get("seconds") for row in again] == [row.get("seconds") for row in rows]  # nothing was trained anew


def test_a_noisy_reader_is_a_copy_whose_embeddings_stay(small_reader):
    before = {name: weight.clone() for name, weight in small_reader.named_parameters()}
    worse = dict(noisy_reader(small_reader, 0.5).named_parameters())
    for name, weight in small_reader.named_parameters():
        assert torch.equal(weight, before[name])
        assert torch.equal(weight, worse[name]) == (weight.ndim != 2 or "shared" in name)


def test_every_condition_names_a_loss_and_its_own_options():
    from inspect import signature

    from kit.losses import LOSSES

    for condition in CONDITIONS.values():
        assert set(condition.options) <= set(signature(LOSSES[condition.loss]).parameters)
