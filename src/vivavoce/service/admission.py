"""How much is taken on at once, and from whom: what is taken on is finished, the rest is told at once to come again.

As long as the process keeps up, as many requests as are allowed at all may wait for models and callers. When it falls
behind, which is seen by how late its own timers fire, fewer are let in until it has caught up.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vivavoce.domain.principal import Principal
from vivavoce.errors import Unavailable, VivavoceError

LEAST = 8  # requests that are let in however far behind the process is
MOST_LATE_SECONDS = 0.030  # of a timer, before it is too late
LOOK_SECONDS = 0.05
SPARE = 100  # requests beyond twice those that were in work lately: a flood is not let in before it is seen to be one
WAITING_ROOM = 16  # requests that wait to be let in
WAIT_SECONDS = 0.25
RETRY_AFTER_SECONDS = 1.0
OPERATOR_KEY = "operator"  # the one that the server begins with
MOST_KEYS = 10_000  # whose rates are known
BURST_SECONDS = 2.0  # so many seconds' worth may come at once


class Overloaded(Unavailable):
    code = "OVERLOADED"


class RateLimited(VivavoceError):
    code = "RATE_LIMITED"
    status = 429
    retryable = True


class Admission:
    def __init__(self, most: int) -> None:
        """`most` requests are in work at once at the very most."""
        self._most = most
        self._room = float(min(most, SPARE))
        self._peak = 0.0  # of requests in work, lately
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._watching: asyncio.Task[None] | None = None
        self.in_work = 0
        self.late = 0.0  # seconds, smoothed
        self.refused = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        return int(self._room)

    def start(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    @asynccontextmanager
    async def let_in(self) -> AsyncIterator[None]:
        """Raises Overloaded, at once or after a short wait."""
        if self.in_work >= self.room:
            await self._wait()
        self.in_work += 1
        try:
            yield
        finally:
            self.in_work -= 1
            self._call_next()

    async def _wait(self) -> None:
        if len(self._waiting) >= WAITING_ROOM:
            self._refuse()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await place
        except TimeoutError:
            self._refuse()
        finally:
            if place in self._waiting:
                self._waiting.remove(place)

    def _refuse(self) -> None:
        self.refused += 1
        raise Overloaded("The server has more to do than it can; try again shortly.", retry_after=RETRY_AFTER_SECONDS)

    def _call_next(self) -> None:
        while self._waiting and self.in_work < self.room:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            self.look(loop.time() - due)

    def look(self, late: float) -> None:
        """What one timer tells: less room at once when it was late, more room bit by bit when it was not."""
        self.late += 0.3 * (late - self.late)
        self._peak = max(float(self.in_work), 0.98 * self._peak)
        if self.late > MOST_LATE_SECONDS:
            self._room = max(float(LEAST), 0.9 * min(self._room, self.in_work + 1))
        else:
            most = min(float(self._most), 2 * self._peak + SPARE)
            self._room = min(most, self._room + max(2.0, 0.1 * self._room))
            self._call_next()


class Rates:
    """So many requests a second of each key, some seconds' worth at once; 0 is no limit. The operator's own has none."""

    def __init__(self, a_second: float) -> None:
        self._rate = a_second
        self._burst = max(1.0, a_second * BURST_SECONDS)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (what is left, when)

    def take(self, principal: Principal, now: float) -> None:
        """`now` in seconds of any clock that only goes forward. Raises RateLimited."""
        if self._rate <= 0 or principal.key_id == OPERATOR_KEY:
            return
        left, at = self._buckets.get(principal.key_id, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        if left < 1.0:
            raise RateLimited(
                f"This key may send {self._rate:g} requests a second; it has sent more.",
                retry_after=(1.0 - left) / self._rate,
            )
        self._buckets[principal.key_id] = (left - 1.0, now)
        self._buckets.move_to_end(principal.key_id)
        if len(self._buckets) > MOST_KEYS:
            self._buckets.popitem(last=False)
