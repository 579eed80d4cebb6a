"""Search by meaning: one vector a conversation. Signs of the numbers first, the numbers themselves for the nearest."""

from __future__ import annotations

import sqlite3
import threading
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

BLOCK = 20_000  # vectors that are read at once
NEAREST = 1_000  # by signs, whose vectors are then compared in full
_DTYPE = np.float16
_Numbers: TypeAlias = NDArray[np.int64]
_Codes: TypeAlias = NDArray[np.uint64]


class Signs:
    """The signs of all vectors of one agent in memory: 48 bytes each for 384 dimensions, in order of number.

    They lie word by word (a row for each 64 dimensions), so that comparing is a few passes over memory.
    """

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
        apart = np.zeros(last - first, np.uint16)
        for word, wanted in zip(codes, signs([query])[:, 0], strict=True):
            apart += np.bitwise_count(word[first:last] ^ wanted)
        count = min(NEAREST, len(apart))
        chosen = np.argpartition(apart, count - 1)[:count]
        return [int(n) for n in numbers[first:last][chosen[np.argsort(apart[chosen], kind="stable")]]]

    def _loaded(self, c: sqlite3.Connection, scope: int) -> tuple[_Numbers, _Codes]:
        if self._numbers is None or self._codes is None:
            rows = c.execute(
                f"SELECT conversation, {self._column} FROM vectors WHERE scope = ? ORDER BY conversation", (scope,)
            )
            numbers, parts = [], []
            while some := rows.fetchmany(BLOCK):
                numbers += [number for number, _ in some]
                parts.append(signs([vector for _, vector in some]))
            self._numbers = np.array(numbers, np.int64)
            self._codes = np.concatenate(parts, axis=1) if parts else np.empty((0, 0), np.uint64)
        elif self._added or self._removed:
            kept = ~np.isin(self._numbers, np.fromiter((*self._removed, *self._added), np.int64))
            numbers_, codes = self._numbers[kept], self._codes[:, kept]
            if self._added:
                fresh = signs(list(self._added.values()))
                numbers_ = np.concatenate([numbers_, np.fromiter(self._added, np.int64, len(self._added))])
                codes = np.concatenate([codes, fresh], axis=1) if codes.size else fresh
            order = np.argsort(numbers_, kind="stable")
            self._numbers, self._codes = numbers_[order], np.ascontiguousarray(codes[:, order])
        self._added.clear()
        self._removed.clear()
        return self._numbers, self._codes


def signs(vectors: list[bytes]) -> _Codes:
    """A column for each vector: one bit a dimension, in words of 64; the last is filled up."""
    bits = np.packbits(np.frombuffer(b"".join(vectors), _DTYPE).reshape(len(vectors), -1) > 0, axis=1)
    filled = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8)))
    return np.ascontiguousarray(filled.view(np.uint64).T)


def packed(vector: list[float]) -> bytes:
    return np.asarray(vector, _DTYPE).tobytes()


def likeness(query: bytes, vectors: list[bytes]) -> list[float]:
    """Dot products: of unit vectors, 1 is the same and 0 unrelated."""
    if not vectors:
        return []
    stacked = np.frombuffer(b"".join(vectors), _DTYPE).reshape(len(vectors), -1).astype(np.float32)
    found: list[float] = (stacked @ np.frombuffer(query, _DTYPE).astype(np.float32)).tolist()
    return found
