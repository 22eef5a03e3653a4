"""The toy: a small encyclopaedia of real and made-up facts, its words, and two small models pre-trained on such text."""

from __future__ import annotations

from kit.toy.world import DATA, ToyWorld, build_world

__all__ = ["DATA", "ToyWorld", "build_world"]
