"""Retrieval: questions to a ScoreTable of each one's best passages, by words (BM25) or by vectors (dense)."""

from kit.retrieve.bm25 import BM25
from kit.retrieve.dense import DenseRetriever

__all__ = ["BM25", "DenseRetriever"]
