"""Retrieval: questions to a ScoreTable of each one's best passages, by words (BM25) or by vectors (dense)."""

from kit.retrieve.bm25 import BM25
from kit.retrieve.dense import DenseRetriever
from kit.retrieve.random_passages import add_random_passages

__all__ = ["BM25", "DenseRetriever", "add_random_passages"]
