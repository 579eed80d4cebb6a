"""Vectors of conversations: their bytes, their signs, and how alike two of them are."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

NEAREST = 1_000  # by signs, whose vectors are then compared in full
_DTYPE = np.float16
Codes: TypeAlias = NDArray[np.uint64]


def signs(vectors: list[bytes]) -> Codes:
    """A column for each vector: one bit a dimension, in words of 64; the last is filled up."""
    bits = np.packbits(np.frombuffer(b"".join(vectors), _DTYPE).reshape(len(vectors), -1) > 0, axis=1)
    filled = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8)))
    return np.ascontiguousarray(filled.view(np.uint64).T)


def sign_bits(vector: bytes) -> bytes:
    """One bit a dimension, the last byte filled up."""
    return np.packbits(np.frombuffer(vector, _DTYPE) > 0).tobytes()


def dimensions(vector: bytes) -> int:
    return len(vector) // _DTYPE(0).itemsize


def packed(vector: list[float]) -> bytes:
    return np.asarray(vector, _DTYPE).tobytes()


def likeness(query: bytes, vectors: list[bytes]) -> list[float]:
    """Dot products: of unit vectors, 1 is the same and 0 unrelated."""
    if not vectors:
        return []
    stacked = np.frombuffer(b"".join(vectors), _DTYPE).reshape(len(vectors), -1).astype(np.float32)
    found: list[float] = (stacked @ np.frombuffer(query, _DTYPE).astype(np.float32)).tolist()
    return found
