"""The background loop: claims due work by lease, does it, tries again what fails. There is no second queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import Subject
from vivavoce.domain.work import Work
from vivavoce.errors import VivavoceError
from vivavoce.store.interface import Claimed, Store

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=120)
BATCH = 16
LONGEST_SLEEP_SECONDS = 1.0
MOST_ATTEMPTS = 8
MOST_CLAIMS = 400  # of slow work
FIRST_BACKOFF_SECONDS = 2.0

_Name = tuple[str, str, Subject | None]
Handler = Callable[[Work], Awaitable[datetime | None]]


class WorkLoop:
    """`handlers` by kind; one that returns a time wants to be asked again then. They must be safe to run twice.

    Those of `slow` kinds run one at a time beside the others, which do not wait for them.
    """

    def __init__(
        self, store: Store, clock: Clock, handlers: Mapping[str, Handler], *, slow: frozenset[str] = frozenset()
    ) -> None:
        self._slow = slow
        self._lane = asyncio.Lock()
        self._running: dict[_Name, asyncio.Task[None]] = {}
        self._latest: dict[_Name, Claimed] = {}
        self._store = store
        self._clock = clock
        self._handlers = handlers
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        given_up = list(self._latest.values())
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for claimed in given_up:  # whoever comes next need not wait for the lease
            with contextlib.suppress(VivavoceError):
                await self._store.retry_work(claimed, self._clock.now())

    async def run_due(self) -> int:
        """Does all that is due now, the slow work included; returns how much that was."""
        done = await self._begin_due()
        while self._running:
            await asyncio.gather(*self._running.values())
            done += await self._begin_due()
        return done

    async def _begin_due(self) -> int:
        """The same, but slow work is only begun."""
        done = 0
        while True:
            now = self._clock.now()
            claimed = await self._store.claim_work(now, now + LEASE, limit=BATCH)
            if not claimed:
                return done
            for item in claimed:
                if item.work.kind in self._slow:
                    self._begin(item)
            await asyncio.gather(*(self._do(item) for item in claimed if item.work.kind not in self._slow))
            done += len(claimed)

    def _begin(self, claimed: Claimed) -> None:
        """Unless it is going on, and its lease has only run out."""
        work = claimed.work
        name = (work.kind, work.key, work.subject)
        self._latest[name] = claimed  # the lease by which it can be settled
        if name not in self._running:
            task = self._running[name] = asyncio.create_task(self._in_lane(name))
            task.add_done_callback(lambda _: self._forget(name))

    def _forget(self, name: _Name) -> None:
        self._running.pop(name, None)
        self._latest.pop(name, None)

    async def _in_lane(self, name: _Name) -> None:
        async with self._lane:
            await self._do(self._latest[name])

    async def _run(self) -> None:
        while True:
            try:
                due = await self._store.next_due()
                if due is not None and due <= self._clock.now():
                    await self._begin_due()
            except VivavoceError as error:
                log.warning("background work waits: %s", error.code)
            await asyncio.sleep(LONGEST_SLEEP_SECONDS)

    async def _do(self, claimed: Claimed) -> None:
        work = claimed.work
        handler = self._handlers.get(work.kind)
        if handler is None:
            log.warning("nobody does background work of kind %s", work.kind)
            await self._store.retry_work(claimed, self._clock.now() + timedelta(hours=1))
            return
        try:
            again = await handler(work)
        except Exception as error:  # one piece of work must not stop the loop
            await self._failed(claimed, error)
            return
        claimed = self._latest.get((work.kind, work.key, work.subject), claimed)
        if again is None:
            await self._store.finish_work(claimed)
        else:
            await self._store.retry_work(claimed, again)

    async def _failed(self, claimed: Claimed, error: Exception) -> None:
        work = claimed.work
        log.warning(
            "background work failed: kind=%s attempt=%d error=%s", work.kind, work.attempts, type(error).__name__
        )
        claimed = self._latest.get((work.kind, work.key, work.subject), claimed)
        # Slow work is claimed again and again while it waits its turn.
        if work.attempts >= (MOST_CLAIMS if work.kind in self._slow else MOST_ATTEMPTS):
            log.error("background work was given up: kind=%s after %d attempts", work.kind, work.attempts)
            await self._store.finish_work(claimed)
            return
        await self._store.retry_work(
            claimed,
            self._clock.now() + timedelta(seconds=FIRST_BACKOFF_SECONDS * 2 ** min(work.attempts, MOST_ATTEMPTS)),
        )
