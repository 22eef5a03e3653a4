"""Judging answers and score tables: exact match and F1, answer recall, MRR, nDCG, MAP, diagnostics, intervals."""

from kit.metrics.answers import exact_match, exact_match_rate, exact_matches, f1, has_answer, normalize_answer
from kit.metrics.ranking import (
    Judgements,
    answer_hits,
    answer_ranks,
    answer_recall,
    average_precision,
    cover_depth,
    inversions,
    judged,
    ndcg,
    recall,
    reciprocal_rank,
    top_overlap,
)
from kit.metrics.statistics import bootstrap_interval, paired_test
from kit.metrics.summary import answer_measures, judged_measures, recall_measures, unspaced_answers
from kit.metrics.table_agreement import agreement

__all__ = [
    "Judgements",
    "agreement",
    "answer_hits",
    "answer_measures",
    "answer_ranks",
    "answer_recall",
    "average_precision",
    "bootstrap_interval",
    "cover_depth",
    "exact_match",
    "exact_match_rate",
    "exact_matches",
    "f1",
    "has_answer",
    "inversions",
    "judged",
    "judged_measures",
    "ndcg",
    "normalize_answer",
    "paired_test",
    "recall",
    "recall_measures",
    "reciprocal_rank",
    "top_overlap",
    "unspaced_answers",
]
