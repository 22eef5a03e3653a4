"""The whole loop at toy scale: reader, attention scores, student, index, and round again, with figures."""

from kit.quickstart.run import PLAN, REPORT, run_quickstart

__all__ = ["PLAN", "REPORT", "run_quickstart"]
