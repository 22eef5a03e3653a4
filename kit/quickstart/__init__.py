"""The whole loop at toy scale: reader, attention scores, student, index, and round again, with figures and a report."""

from kit.quickstart.report import write_report
from kit.quickstart.run import PLAN, run_quickstart

__all__ = ["PLAN", "run_quickstart", "write_report"]
