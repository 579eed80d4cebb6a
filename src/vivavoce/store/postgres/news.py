"""What processes tell each other, by NOTIFY; a connection of its own listens, and comes back when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import asyncpg

from vivavoce.store.tables.connection import Connection, Database

log = logging.getLogger(__name__)
CHANNEL = "vivavoce"
AGAIN_SECONDS = 1.0
CHECK_SECONDS = 30.0  # a connection that nothing comes in on may have gone unnoticed
CONNECT_SECONDS = 10.0


class PostgresNews:
    def __init__(self, url: str, database: Database) -> None:
        self._url = url
        self._database = database
        self._listeners: list[Callable[[str | None], None]] = []
        self._listening: asyncio.Task[None] | None = None

    async def tell(self, news: str) -> None:
        async def write(c: Connection) -> None:
            await c.one("tell", {"channel": CHANNEL, "news": news})

        await self._database.write(write, is_single=True)

    async def listen(self, heard: Callable[[str | None], None]) -> None:
        self._listeners.append(heard)
        if self._listening is None:
            is_there = asyncio.Event()
            self._listening = asyncio.create_task(self._listen(is_there))
            with contextlib.suppress(TimeoutError):  # it goes on trying
                await asyncio.wait_for(is_there.wait(), CONNECT_SECONDS)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._listening = None

    async def _listen(self, is_there: asyncio.Event) -> None:
        while True:
            try:
                raw = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS)
                try:
                    lost = asyncio.Event()
                    raw.add_termination_listener(lambda _, lost=lost: lost.set())
                    await raw.add_listener(CHANNEL, self._heard)
                    self._tell_all(None)  # what was told before is not known
                    is_there.set()
                    while not lost.is_set():
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(lost.wait(), CHECK_SECONDS)
                        await raw.fetchval("SELECT 1", timeout=CONNECT_SECONDS)
                finally:
                    raw.terminate()
            except Exception as error:  # whatever it is, nobody else would listen
                log.warning("news of other processes are not heard: %s", type(error).__name__)
            await asyncio.sleep(AGAIN_SECONDS)

    def _heard(self, raw: Any, pid: int, channel: str, news: str) -> None:
        self._tell_all(news)

    def _tell_all(self, news: str | None) -> None:
        for heard in self._listeners:
            heard(news)
