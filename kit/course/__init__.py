"""The course: what every notebook stands on (`ground`), and its rendered pages (`site`)."""

from kit.course.ground import Ground, ground

__all__ = ["Ground", "ground"]
