"""The processes that `torchrun` or `accelerate launch` started for one command: which is this one, and what each has.

Without these there is one. Loads nothing heavy where there is one. Knows no models.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=7)  # for the slowest process


def this_process() -> tuple[int, int]:
    """This process's number, from 0, and the number of processes."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def is_chief() -> bool:
    """Whether this process is the one that writes results, or the only one."""
    return this_process()[0] == 0


def in_every_process(compute: Callable[[], T]) -> list[T]:
    """What `compute()` returns in each process, in their order; every process must call it, and waits for all.

    A `KitError` of one process is raised in all of them.

    >>> in_every_process(lambda: "alone")
    ['alone']
    """
    if this_process()[1] == 1:
        return [compute()]
    from torch import distributed

    from kit.types import KitError

    if not distributed.is_initialized():
        distributed.init_process_group("gloo", timeout=LONGEST_WAIT)
    mistake, result = None, None
    try:
        result = compute()
    except KitError as error:
        mistake = (error.where, error.wanted, error.given)
    gathered: list[Any] = [None] * this_process()[1]
    distributed.all_gather_object(gathered, (mistake, result))
    for mistake, _ in gathered:
        if mistake is not None:
            raise KitError(*mistake)
    return [result for _, result in gathered]
