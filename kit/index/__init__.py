"""Passage vectors on disk, and FAISS indexes over them, searched by inner product, with string ids."""

from kit.index.search import VectorIndex, build_index

__all__ = ["VectorIndex", "build_index"]
