"""Values of the store that a process keeps in memory, until one says that they have changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Kept(Generic[V]):
    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], V] = {}
        self._changes = 0

    async def get(self, key: tuple[str, ...], read: Callable[[], Awaitable[V]]) -> V:
        """What is kept, or what is read now. What changed while it was read is not kept."""
        if key in self._known:
            return self._known[key]
        before = self._changes
        found = await read()
        if before == self._changes:
            self._known[key] = found
            return found
        return self._known.get(key, found)

    def forget(self, key: tuple[str, ...] | None) -> None:
        """Also after a change of one's own: another may have come after it. None is everything."""
        self._changes += 1
        if key is None:
            self._known.clear()
        else:
            self._known.pop(key, None)
