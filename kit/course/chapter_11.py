"""Checkers of notebook 11: which passages a process embeds, what an index weighs, what one step of training is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kit.course.verdict import Verdict, answer_of, not_yet, number_of, passed

WIKIPEDIA, DIMENSION = 21_015_324, 768


def check_shards(shards_of: Callable[..., Any]) -> Verdict:
    """A verdict on `shards_of(part, parts, count, shard_size)`: the (start, stop) of the shards of one process."""
    cases = [(3, 10, 3), (2, 12, 3), (4, 5, 2)]  # parts, count, shard_size
    for parts, count, size in cases:
        made = []
        for part in range(parts):
            given = answer_of(shards_of, part, parts, count, size)
            if isinstance(given, Verdict):
                return given
            try:
                made += [(int(start), int(stop)) for start, stop in given]
            except (TypeError, ValueError):
                return not_yet("A list of pairs (start, stop) was wanted, of this process alone.")
        where = f"With {count} passages in shards of {size} over {parts} processes"
        mistake = _mistake(made, count, size)
        if mistake:
            return not_yet(f"{where}: {mistake}")
    return passed(
        "Every passage is embedded once, the last shard takes the remainder, and no process waits for another."
    )


def _mistake(made: list[tuple[int, int]], count: int, size: int) -> str:
    rows = [row for start, stop in made for row in range(start, stop)]
    if any(stop > count for _, stop in made):
        return f"a shard ends at {max(stop for _, stop in made)}, beyond the last passage: the last shard is shorter."
    if len(rows) > len(set(rows)):
        return "some passages are embedded twice: every process must take other shards than the others."
    missing = sorted(set(range(count)) - set(rows))
    if missing and missing == list(range(missing[0], count)):
        return f"the last {len(missing)} are missing: // drops the remainder, round the number of shards up."
    if missing:
        return f"{len(missing)} passages belong to no process, the first of them is {missing[0]}."
    if any(stop <= start for start, stop in made):
        return "there is an empty shard."
    if any(stop - start > size for start, stop in made):
        return f"a shard is longer than {size}."
    return ""


def check_index_gigabytes(gigabytes: Callable[..., Any]) -> Verdict:
    """A verdict on `gigabytes(count, dimension, bytes_a_number)`: the GB (10^9 bytes) of a flat index."""
    value = number_of(gigabytes, WIKIPEDIA, DIMENSION, 4)
    if isinstance(value, Verdict):
        return value
    right = WIKIPEDIA * DIMENSION * 4 / 1e9
    mistakes = {
        right * 1e9 / 2**30: "That is GiB (2^30 bytes): divide by 1e9 for GB.",
        right / 4: "You left out the bytes of each number.",
        right * 8: "You counted bits: a float32 has 4 bytes.",
        right * 1e3: "That is MB.",
        right * 1e9: "That is bytes.",
    }
    if abs(value - right) > 0.01 * right:
        for wrong, why in mistakes.items():
            if abs(value - wrong) < 0.01 * wrong:
                return not_yet(why)
        return not_yet(f"About {right:.1f} GB were wanted for Wikipedia in float32, you gave {value:.4g}.")
    half = answer_of(gigabytes, WIKIPEDIA, DIMENSION, 2)
    if isinstance(half, Verdict) or abs(float(half) - right / 2) > 0.01 * right:
        return not_yet("In float16 (2 bytes) it must be half: use bytes_a_number.")
    return passed("64.6 GB in float32, half in float16: what decides whether a machine can hold a flat index.")


def check_step(questions_of_a_step: Callable[..., Any]) -> Verdict:
    """A verdict on `questions_of_a_step(batch, accumulate, processes)`: how many questions one update has seen."""
    given = answer_of(questions_of_a_step, 2, 8, 4)
    if isinstance(given, Verdict):
        return given
    mistakes = {
        8: "You left out the gradient accumulation: an update comes only after `accumulate` batches.",
        16: "You left out the processes: each has its own batches, and gradients are averaged over all.",
        32: "You left out the batch of one process.",
        14: "You added: every process runs `accumulate` batches for each update, so multiply.",
        4: "You divided by accumulate: an update comes after `accumulate` batches, so it sees more, not fewer.",
        1: "You divided by accumulate: an update comes after `accumulate` batches, so it sees more, not fewer.",
    }
    if given == 64:
        return passed("batch x accumulate x processes: 64 here, as in FiD's recipe.")
    return not_yet(mistakes.get(given, f"64 was wanted for batch 2, accumulate 8, 4 processes; you gave {given}."))
