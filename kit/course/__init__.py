"""The course: the ground that notebooks stand on, checkers of exercises (`chapter_NN`), and the rendered pages."""

from kit.course.ground import Ground, ground
from kit.course.verdict import Verdict

__all__ = ["Ground", "Verdict", "ground"]
