"""Claims and news of one process, in its memory: nobody else has its store."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from vivavoce.store.tables.connection import Connection, Refused

MOST_KNOWN = 8192  # names whose last holder is remembered


class HeldClaims:
    def __init__(self) -> None:
        self._held: dict[bytes, tuple[str, int]] = {}  # name -> (holder, token)
        self._last: OrderedDict[bytes, str] = OrderedDict()  # name -> its last holder
        self._until: dict[str, float] = {}

    async def live(self, holder: str, seconds: float) -> None:
        self._until[holder] = time.monotonic() + seconds

    async def leave(self, holder: str) -> None:
        self._until.pop(holder, None)

    async def take(self, name: bytes, holder: str, token: int) -> str | None:
        known = self._held.get(name)
        if known is not None and known[0] != holder and self._until.get(known[0], 0.0) > time.monotonic():
            return None
        before = self._last.get(name, "")
        self._held[name] = (holder, token)
        self._last[name] = holder
        self._last.move_to_end(name)
        if len(self._last) > MOST_KNOWN:
            self._last.popitem(last=False)
        return before

    async def keep(self, name: bytes, holder: str, token: int) -> None:
        self._held.setdefault(name, (holder, token))

    async def release(self, name: bytes, token: int) -> None:
        known = self._held.get(name)
        if known is not None and known[1] == token:
            del self._held[name]

    async def check(self, c: Connection | None, name: bytes, token: int) -> None:
        known = self._held.get(name)
        if known is None or known[1] != token:
            raise Refused("the claim is another's")


class OwnNews:
    def __init__(self) -> None:
        self._listeners: list[Callable[[str | None], None]] = []

    async def tell(self, news: str) -> None:
        for heard in self._listeners:
            heard(news)

    async def listen(self, heard: Callable[[str | None], None]) -> None:
        self._listeners.append(heard)
