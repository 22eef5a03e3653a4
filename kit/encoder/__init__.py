"""Bi-encoders, the students of distillation: a vector for a question, one for a passage, a dot product."""

from kit.encoder.dual import DualEncoder
from kit.encoder.families import FAMILIES, Family, family_named

__all__ = ["FAMILIES", "DualEncoder", "Family", "family_named"]
