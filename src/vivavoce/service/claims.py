"""One turn at a time: who comes second waits its turn, and is told when that takes too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from vivavoce.errors import ConversationBusy

WAIT_SECONDS = 30.0
RETRY_AFTER_SECONDS = 2.0


class Claims:
    def __init__(self, wait: float = WAIT_SECONDS) -> None:
        self._wait = wait
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """First come, first served. Raises ConversationBusy after the wait."""
        lock, holders = self._locks.get(key, (None, 0))
        if lock is None:
            lock = asyncio.Lock()
        self._locks[key] = (lock, holders + 1)
        try:
            if lock.locked():
                try:
                    await asyncio.wait_for(lock.acquire(), self._wait)
                except TimeoutError:
                    raise ConversationBusy(
                        "The conversation is still answering an earlier message; try again shortly.",
                        retry_after=RETRY_AFTER_SECONDS,
                    ) from None
            else:
                await lock.acquire()
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, holders = self._locks[key]
            if holders == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, holders - 1)
