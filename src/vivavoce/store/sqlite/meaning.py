"""Search by meaning on SQLite: signs of all vectors in memory first, then the vectors of the nearest."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vivavoce.store.tables.connection import Connection
from vivavoce.store.tables.vectors import NEAREST, Codes, signs

BLOCK = 20_000  # vectors that are read at once
_Numbers: TypeAlias = NDArray[np.int64]


class SqliteMeanings:
    """One process has the file, so that what it notes is all that changes."""

    def __init__(self) -> None:
        self._signs: dict[tuple[int, str], Signs] = {}

    async def put(self, c: Connection, number: int, scope: int, model: str, plain: bytes, redacted: bytes) -> None:
        values = {"number": number, "scope": scope, "model": model, "plain": plain, "redacted": redacted}
        await c.run("put_vectors", values)

    def note(self, scope: int, number: int, plain: bytes | None, redacted: bytes | None) -> None:
        for column, vector in (("plain", plain), ("redacted", redacted)):
            if (scope, column) in self._signs:
                self._signs[scope, column].note(number, vector)

    async def nearest(self, c: Connection, scope: int, column: str, query: bytes, low: int, high: int) -> Sequence[int]:
        known = self._signs.setdefault((scope, column), Signs(column))
        return await known.nearest(c, scope, query, low, high)


class Signs:
    """The signs of all vectors of one agent in memory: 48 bytes each for 384 dimensions, in order of number.

    They lie word by word (a row for each 64 dimensions), so that comparing is a few passes over memory.
    """

    def __init__(self, column: str) -> None:
        self._column = column
        self._numbers: _Numbers | None = None
        self._codes: Codes | None = None
        self._noted: deque[tuple[int, bytes | None]] = deque()
        self._lock = threading.Lock()

    def note(self, number: int, vector: bytes | None) -> None:
        """A vector that was written, or None for one that went. Whoever notes does not wait for one who reads."""
        self._noted.append((number, vector))

    async def nearest(self, c: Connection, scope: int, query: bytes, low: int, high: int) -> list[int]:
        """Numbers between the bounds, those with most signs in common first."""
        with self._lock:
            numbers, codes = await self._loaded(c, scope)
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

    async def _loaded(self, c: Connection, scope: int) -> tuple[_Numbers, Codes]:
        if self._numbers is None or self._codes is None:
            numbers, parts, after = [], [], -1
            while rows := await c.all(f"{self._column}_vectors", {"scope": scope, "after": after, "limit": BLOCK}):
                after = rows[-1][0]
                numbers += [number for number, _ in rows]
                parts.append(signs([vector for _, vector in rows]))
            self._numbers = np.array(numbers, np.int64)
            self._codes = np.concatenate(parts, axis=1) if parts else np.empty((0, 0), np.uint64)
        changed: dict[int, bytes | None] = {}
        while self._noted:
            number, vector = self._noted.popleft()
            changed[number] = vector
        if changed:
            kept = ~np.isin(self._numbers, np.fromiter(changed, np.int64))
            numbers_, codes = self._numbers[kept], self._codes[:, kept]
            added = {number: vector for number, vector in changed.items() if vector is not None}
            if added:
                fresh = signs(list(added.values()))
                numbers_ = np.concatenate([numbers_, np.fromiter(added, np.int64, len(added))])
                codes = np.concatenate([codes, fresh], axis=1) if codes.size else fresh
            order = np.argsort(numbers_, kind="stable")
            self._numbers, self._codes = numbers_[order], np.ascontiguousarray(codes[:, order])
        return self._numbers, self._codes
