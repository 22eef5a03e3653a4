"""The course: what a notebook starts from (`load`), copies of the notebooks to work in, and the rendered pages."""

from kit.course.copies import copy_notebooks
from kit.course.lab import open_lab
from kit.course.load import Course, load_course

__all__ = ["Course", "copy_notebooks", "load_course", "open_lab"]
