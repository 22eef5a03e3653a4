"""The whole loop at toy scale: reader, attention scores, student, index, and round again, with figures."""

from kit.quickstart.run import PLAN, run_quickstart

__all__ = ["PLAN", "run_quickstart"]
