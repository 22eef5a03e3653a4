"""Bi-encoders, the students of distillation: a vector for a question, one for a passage, a dot product."""

from kit.encoder.dual import DualEncoder
from kit.encoder.families import FAMILIES, Family, family_named
from kit.encoder.principal_components import PrincipalComponents, principal_components
from kit.encoder.token_scores import TokenScores, token_scores

__all__ = [
    "FAMILIES",
    "DualEncoder",
    "Family",
    "PrincipalComponents",
    "TokenScores",
    "family_named",
    "principal_components",
    "token_scores",
]
