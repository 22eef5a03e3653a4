"""A process that is killed: it ends, as by kill -9, in the n-th call that changes a folder or waits for the disk."""

from __future__ import annotations

import os
from collections.abc import Callable

from kit import files

CALLS = ("replace", "rename", "fsync", "chmod", "mkdir", "unlink", "rmdir")


def killed(statement: Callable[[], object], number: int, exchange: bool = True) -> int:
    """The exit code of a fork of this process that runs the statement: 9, or 0 if it made fewer calls.

    `exchange` off: as on a system that cannot put one folder in another's place in one step.
    """
    if not (process := os.fork()):
        calls = 0

        def counted(function):
            def call(*arguments, **options):
                nonlocal calls
                calls += 1
                if calls == number:
                    os._exit(9)
                return function(*arguments, **options)

            return call

        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        if not exchange:
            files._exchanged = lambda one, other: False
        try:
            statement()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
