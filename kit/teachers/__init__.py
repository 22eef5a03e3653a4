"""Teachers: whatever scores (question, passages), for a student to learn from. Each gives a `ScoreTable`."""

from kit.teachers.cross_encoders import CrossEncoder, ExtractiveReader
from kit.teachers.fid import Ensemble, FiDAttention, FromTable, LeaveOneOut, PassageLikelihood, Standardised
from kit.teachers.scores import Teacher, score_examples, standardised
from kit.teachers.triples import load_teacher_triples

__all__ = [
    "CrossEncoder",
    "Ensemble",
    "ExtractiveReader",
    "FiDAttention",
    "FromTable",
    "LeaveOneOut",
    "PassageLikelihood",
    "Standardised",
    "Teacher",
    "load_teacher_triples",
    "score_examples",
    "standardised",
]
