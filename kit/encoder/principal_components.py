"""Vectors on a plane, by the two directions in which they differ most."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kit.types import KitError


class PrincipalComponents(NamedTuple):
    """The coordinates (x, 2), and the share of the vectors' variance along each axis (2,)."""

    coordinates: Float[np.ndarray, "x 2"]
    explained: Float[np.ndarray, " 2"]


def principal_components(vectors: Float[np.ndarray, "x d"]) -> PrincipalComponents:
    """Coordinates (x, 2) of vectors on their first two principal components, and the share that each explains (2,).

    Questions and passages that are to be compared go in together. The sign of an axis has no meaning; it is such that
    the vector furthest out is positive. Raises `KitError` for fewer than 2 vectors or dimensions.

    >>> plane = principal_components(np.array([[0.0, 0, 5], [4, 0, 5], [0, 2, 5], [4, 2, 5]]))
    >>> abs(plane.coordinates).round(6).tolist()
    [[2.0, 1.0], [2.0, 1.0], [2.0, 1.0], [2.0, 1.0]]
    >>> plane.explained.round(6).tolist()
    [0.8, 0.2]
    """
    if vectors.ndim != 2 or min(vectors.shape) < 2:
        raise KitError("principal_components", "at least 2 vectors (x, d) of 2 numbers", f"shape {vectors.shape}")
    centred = np.asarray(vectors, dtype=np.float64) - vectors.mean(0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    coordinates = left[:, :2] * lengths[:2]  # (x, 2)
    furthest = coordinates[abs(coordinates).argmax(0), [0, 1]]
    total = max(float((lengths**2).sum()), np.finfo(float).tiny)
    return PrincipalComponents(coordinates * np.where(furthest < 0, -1.0, 1.0), lengths[:2] ** 2 / total)
