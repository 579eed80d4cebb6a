"""What makes a call's clock tick: real time, or as fast as the engines allow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from vivavoce.audio import pcm

MOST_BEHIND = 2.0  # seconds: a stall that is longer is not made up for
POLL_SECONDS = 0.001


class Pace(Protocol):
    async def tick(self, is_thinking: Callable[[], bool]) -> None:
        """Returns when the next 20 ms begin. `is_thinking` tells whether the agent is busy with what it has heard."""
        ...


class RealTime:
    """One tick each 20 ms of the wall clock; ticks that come late are made up for."""

    def __init__(self) -> None:
        self._due: float | None = None
        self.lateness: list[float] | None = None  # seconds, where somebody measures

    async def tick(self, is_thinking: Callable[[], bool]) -> None:
        now = monotonic()
        self._due = now if self._due is None else self._due + pcm.FRAME_SECONDS
        if now - self._due > MOST_BEHIND:
            self._due = now
        if self._due > now:
            await asyncio.sleep(self._due - now)
        else:
            await asyncio.sleep(0)
        if self.lateness is not None:
            self.lateness.append(monotonic() - self._due)


class AsFastAsPossible:
    """Time stands still while the agent thinks, so that a simulated call sounds as it would on a machine of any speed."""

    async def tick(self, is_thinking: Callable[[], bool]) -> None:
        await asyncio.sleep(0)
        while is_thinking():  # noqa: ASYNC110  # what it waits for is many small things
            await asyncio.sleep(POLL_SECONDS)
