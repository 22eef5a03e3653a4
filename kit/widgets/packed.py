"""Numbers and texts for a page, compressed: JSON in which arrays stand as bytes. js/dom.js unpacks it."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np

KINDS = ("u1", "u2", "i4", "f4", "f8")


def packed(value: Any) -> bytes:
    """Dicts, lists, texts, numbers and arrays (bool, uint8, uint16, int32, float32, float64) as bytes.

    >>> len(packed({"scores": np.zeros((100, 100), dtype=np.float32)})) < 200
    True
    """
    parts: list[bytes] = []
    header = json.dumps(_plain(value, parts), separators=(",", ":"), allow_nan=False).encode()
    body = len(header).to_bytes(4, "little") + header
    return gzip.compress(body + b"\0" * (-len(body) % 8) + b"".join(parts), compresslevel=6, mtime=0)


def _plain(value: Any, parts: list[bytes]) -> Any:
    if isinstance(value, np.ndarray):
        array = value.astype(np.uint8) if value.dtype == bool else value
        array = array.astype(np.int32) if array.dtype == np.int64 else array
        kind = array.dtype.str.lstrip("<|=")
        if kind not in KINDS:
            raise TypeError(f"packed: no array of {value.dtype}")
        start = sum(map(len, parts))
        content = np.ascontiguousarray(array).tobytes()
        parts.append(content + b"\0" * (-len(content) % 8))
        return {"$": [kind, list(array.shape), start]}
    if isinstance(value, dict):
        return {str(key): _plain(one, parts) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, parts) for one in value]
    if isinstance(value, np.generic):
        return value.item()
    return value
