"""Search by meaning: one vector a conversation. Signs of the numbers first, the numbers themselves for the nearest."""

from __future__ import annotations

import sqlite3
import threading
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

NEAREST = 2_000  # by signs, whose vectors are then compared in full
_DTYPE = np.float16
_Numbers: TypeAlias = NDArray[np.int64]
_Codes: TypeAlias = NDArray[np.uint8]


class Signs:
    """The signs of all vectors of one agent in memory: 48 bytes each for 384 dimensions, in order of number."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._numbers: _Numbers | None = None
        self._codes: _Codes | None = None
        self._added: dict[int, bytes] = {}
        self._removed: set[int] = set()
        self._lock = threading.Lock()

    def note(self, number: int, vector: bytes | None) -> None:
        """A vector that was written, or None for one that went."""
        with self._lock:
            if vector is None:
                self._removed.add(number)
                self._added.pop(number, None)
            else:
                self._added[number] = vector
                self._removed.discard(number)

    def nearest(self, c: sqlite3.Connection, scope: int, query: bytes, low: int, high: int) -> list[int]:
        """Numbers between the bounds, those with most signs in common first."""
        with self._lock:
            numbers, codes = self._loaded(c, scope)
        first, last = (
            np.searchsorted(numbers, [low, high + 1])
            if high < 2**63 - 1
            else (np.searchsorted(numbers, low), len(numbers))
        )
        if first >= last:
            return []
        wanted = signs(query)
        apart = np.bitwise_count(codes[first:last] ^ wanted).sum(axis=1, dtype=np.uint16)
        count = min(NEAREST, len(apart))
        chosen = np.argpartition(apart, count - 1)[:count]
        return [int(n) for n in numbers[first:last][chosen[np.argsort(apart[chosen], kind="stable")]]]

    def _loaded(self, c: sqlite3.Connection, scope: int) -> tuple[_Numbers, _Codes]:
        if self._numbers is None or self._codes is None:
            rows = c.execute(
                f"SELECT conversation, {self._column} FROM vectors WHERE scope = ? ORDER BY conversation", (scope,)
            )
            self._numbers, self._codes = _stacked([(number, signs(vector)) for number, vector in rows])
        elif self._added or self._removed:
            kept = ~np.isin(self._numbers, np.fromiter((*self._removed, *self._added), np.int64))
            numbers, codes = self._numbers[kept], self._codes[kept]
            if self._added:
                new, fresh = _stacked([(number, signs(vector)) for number, vector in sorted(self._added.items())])
                numbers = np.concatenate([numbers, new])
                codes = np.concatenate([codes, fresh]) if len(codes) else fresh
            order = np.argsort(numbers, kind="stable")
            self._numbers, self._codes = numbers[order], codes[order]
        self._added.clear()
        self._removed.clear()
        return self._numbers, self._codes


def _stacked(rows: list[tuple[int, NDArray[np.uint8]]]) -> tuple[_Numbers, _Codes]:
    numbers = np.fromiter((number for number, _ in rows), np.int64, len(rows))
    return numbers, np.stack([code for _, code in rows]) if rows else np.empty((0, 0), np.uint8)


def signs(vector: bytes) -> NDArray[np.uint8]:
    return np.packbits(np.frombuffer(vector, _DTYPE) > 0)


def packed(vector: list[float]) -> bytes:
    return np.asarray(vector, _DTYPE).tobytes()


def likeness(query: bytes, vectors: list[bytes]) -> list[float]:
    """Dot products: of unit vectors, 1 is the same and 0 unrelated."""
    if not vectors:
        return []
    stacked = np.frombuffer(b"".join(vectors), _DTYPE).reshape(len(vectors), -1).astype(np.float32)
    found: list[float] = (stacked @ np.frombuffer(query, _DTYPE).astype(np.float32)).tolist()
    return found
