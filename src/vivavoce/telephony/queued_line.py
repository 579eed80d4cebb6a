"""What lines over sockets share: one task reads, one writes, the call itself never waits for either."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Generic, Self, TypeVar

from vivavoce.voice.line import Arrivals, Arrived

MOST_WAITING = 250  # messages that the other side has not taken: 5 s of sound, then it is gone
MOST_MALFORMED = 50  # messages, before the line is taken for broken
MOST_KEYS = 100  # that wait
START_SECONDS = 10.0
M = TypeVar("M")


class QueuedLine(ABC, Generic[M]):
    """`begun` is there when the other side has said which call it is. M is a message as it is written."""

    def __init__(self) -> None:
        self._arrivals = Arrivals()
        self._keys = ""
        self._out: asyncio.Queue[M] = asyncio.Queue(MOST_WAITING)
        self._is_gone = self._is_lost = False
        self._malformed = 0
        self._begun = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.call = ""

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()

    async def begun(self) -> str:
        """The other side's id of the call, "" when it has gone before it said one. Raises TimeoutError when it is silent."""
        async with asyncio.timeout(START_SECONDS):
            await self._begun.wait()
        return self.call

    @abstractmethod
    async def _read(self) -> None:
        """Takes in what comes until the other side is gone, and leaves."""

    @abstractmethod
    async def _write(self) -> None: ...

    @abstractmethod
    async def _close(self) -> None:
        """With what was still to be written, as long as that is quick."""

    def leave(self) -> None:
        """Takes the other side for gone: nobody is waited for."""
        self._is_gone = True
        self._begun.set()

    def _press(self, key: str) -> None:
        self._keys = (self._keys + key)[-MOST_KEYS:]

    def _count_malformed(self) -> None:
        self._malformed += 1
        self._arrivals.problems.add("malformed_message")
        if self._malformed >= MOST_MALFORMED:
            self.leave()

    def _put(self, message: M) -> None:
        if self._is_gone:
            return
        try:
            self._out.put_nowait(message)
        except asyncio.QueueFull:  # half open: it takes nothing any more
            self._arrivals.problems.add("line_blocked")
            self.leave()

    def take(self) -> Arrived:
        keys, self._keys = self._keys, ""
        return self._arrivals.arrived(keys, is_gone=self._is_gone, is_lost=self._is_lost)
