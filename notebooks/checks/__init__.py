"""Checkers of the exercises, a module a notebook: each compares a student's function with the right one (`compare`)."""
