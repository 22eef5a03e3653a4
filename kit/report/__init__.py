"""The report of a quickstart run: one HTML file for a student to read and a lecturer to show."""

from kit.report.write import write_report

__all__ = ["write_report"]
