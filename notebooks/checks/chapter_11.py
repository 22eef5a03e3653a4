"""Checkers of notebook 11: which passages a process embeds, what an index weighs, what one step of training is."""

from checks.compare import Mistake, call, checker, compare, compare_calls, number

WIKIPEDIA, DIMENSION = 21_015_324, 768


@checker
def check_shards(shards_of):
    """A verdict on `shards_of(part, parts, count, shard_size)`: the (start, stop) of the shards of one process."""
    for parts, count, size in [(3, 10, 3), (2, 12, 3), (4, 5, 2)]:
        shards: list[tuple[int, int]] = []
        for part in range(parts):
            try:
                shards += [(int(start), int(stop)) for start, stop in call(shards_of, part, parts, count, size)]
            except (TypeError, ValueError):
                raise Mistake("A list of pairs (start, stop) is expected, of this process alone.") from None
        if mistake := _shard_mistake(shards, count, size):
            raise Mistake(f"With {count} passages in shards of {size} over {parts} processes: {mistake}")
    return "Every passage is embedded once, the last shard takes the remainder, and no process waits for another."


def _shard_mistake(shards: list[tuple[int, int]], count: int, size: int) -> str:
    rows = [row for start, stop in shards for row in range(start, stop)]
    if any(stop > count for _, stop in shards):
        return f"a shard ends at {max(stop for _, stop in shards)}, beyond the last passage: the last one is shorter."
    if len(rows) > len(set(rows)):
        return "some passages are embedded twice: every process must take other shards than the others."
    missing = sorted(set(range(count)) - set(rows))
    if missing and missing == list(range(missing[0], count)):
        return f"the last {len(missing)} are missing: // drops the remainder, round the number of shards up."
    if missing:
        return f"{len(missing)} passages belong to no process, the first of them is {missing[0]}."
    if any(stop <= start for start, stop in shards):
        return "there is an empty shard."
    return f"a shard is longer than {size}." if any(stop - start > size for start, stop in shards) else ""


@checker
def check_index_gigabytes(gigabytes):
    """A verdict on `gigabytes(count, dimension, bytes_per_number)`: the GB (10^9 bytes) of a flat index."""
    cases = {
        "This is Wikipedia in float32.": (WIKIPEDIA, DIMENSION, 4),
        "In float16 (2 bytes) it must be half: use bytes_per_number.": (WIKIPEDIA, DIMENSION, 2),
    }
    compare_calls(lambda *case: number(call(gigabytes, *case)), _gigabytes, cases, {
        "That is GiB (2^30 bytes): divide by 1e9 for GB.": {"unit": 2**30},
        "You left out the bytes of each number.": {"size": lambda b: 1},
        "You counted bits: a float32 has 4 bytes.": {"size": lambda b: 8 * b},
        "In float16 (2 bytes) it must be half: use bytes_per_number.": {"size": lambda b: 4},
        "That is MB.": {"unit": 1e6},
        "That is bytes.": {"unit": 1},
    }, tolerance=0.01)  # fmt: skip
    return "64.6 GB in float32, half in float16: what decides whether a machine can hold a flat index."


def _gigabytes(count: int, dimension: int, each: int, size=lambda b: b, unit=1e9) -> float:
    return count * dimension * size(each) / unit


@checker
def check_step(questions_of_a_step):
    """A verdict on `questions_of_a_step(batch, accumulate, processes)`: how many questions one update learns from."""
    divided = "You divided by accumulate: an update comes after `accumulate` batches, so it has more, not fewer."
    compare(number(call(questions_of_a_step, 2, 8, 4)), 64, {
        "You left out the gradient accumulation: an update comes only after `accumulate` batches.": 8,
        "You left out the processes: each has its own batches, and gradients are averaged over all.": 16,
        "You left out the batch of one process.": 32,
        "You added: every process runs `accumulate` batches for each update, so multiply.": 14,
        divided: 1,
        divided + " And the processes count.": 0.25,
        "You divided by the processes: each has its own batches, so multiply.": 4,
    }, "Batch 2, accumulate 8, 4 processes.")  # fmt: skip
    return "batch x accumulate x processes: 64 here, as in FiD's recipe."
