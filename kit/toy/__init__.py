"""The toy: a small encyclopaedia of real and invented facts, its words, and small models trained for it."""

from __future__ import annotations

from kit.shipped import DATA
from kit.toy.world import ToyWorld, build_world

__all__ = ["DATA", "ToyWorld", "build_world"]
