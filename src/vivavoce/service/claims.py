"""One at a time: among the tasks of this process, and among all processes that share the store.

Who comes second waits its turn, and is told when that takes too long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vivavoce.errors import ConversationBusy, VivavoceError
from vivavoce.store.interface import Claim, Store

log = logging.getLogger(__name__)

WAIT_SECONDS = 30.0
RETRY_AFTER_SECONDS = 2.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.01, 0.25


class Held:
    """A claim while it is held. `is_continued`: no other process has had it since this one had it last."""

    def __init__(self, claim: Claim, *, is_continued: bool) -> None:
        self.claim = claim
        self.is_continued = is_continued
        self.is_given_back = False  # by what was written under it


class Claims:
    def __init__(self, store: Store, holder: str, *, lease: float, wait: float = WAIT_SECONDS) -> None:
        """`holder` is this process's own name, which no other has or had; `lease` the seconds for which it is taken to
        live after it has said so."""
        self._lease = lease
        self._store = store
        self._holder = holder
        self._wait = wait
        self._locks: dict[tuple[str, ...], tuple[asyncio.Lock, int]] = {}
        self._left: set[Claim] = set()  # that could not be given back
        self._held: set[Claim] = set()
        self._doubtful: set[tuple[str, ...]] = set()  # names that may be claimed without our knowing it
        self._living: asyncio.Task[None] | None = None

    # Life.

    async def begin(self) -> None:
        await self._store.live(self._holder, self._lease)
        self._living = asyncio.create_task(self._live())

    async def end(self) -> None:
        if self._living is not None:
            self._living.cancel()
            await asyncio.gather(self._living, return_exceptions=True)
            self._living = None
        try:
            await self._store.leave(self._holder)
        except VivavoceError as error:  # they are free when its time is over
            log.warning("the claims of this process could not be given back: %s", error.code)

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                await self._store.live(self._holder, self._lease)
                for claim in list(self._held):  # a database that had to start again has forgotten them
                    await self._store.keep(self._holder, claim)
                for claim in list(self._left):
                    await self._store.release(claim)
                    self._left.discard(claim)
                for name in [name for name in self._doubtful if name not in self._locks]:
                    await self.is_free(*name)  # takes it over from ourselves, and gives it back
            except VivavoceError as error:
                log.warning("other processes may take this one for dead: %s", error.code)

    # Claims.

    @asynccontextmanager
    async def hold(self, *name: str) -> AsyncIterator[Held]:
        """First come, first served within the process. Raises ConversationBusy after the wait."""
        until = asyncio.get_running_loop().time() + self._wait
        async with self._alone(name):
            claim = await self._claimed(name, until)
            held = Held(claim, is_continued=claim.is_continued and name not in self._doubtful)
            self._doubtful.discard(name)
            self._held.add(claim)
            try:
                yield held
            finally:
                self._held.discard(claim)
                if not held.is_given_back:
                    await self._give_back(held.claim)

    async def is_free(self, *name: str) -> bool:
        """Nobody holds it, here or elsewhere."""
        if name in self._locks:
            return False
        try:
            claim = await self._store.claim(self._holder, *name)
        except BaseException:
            self._doubtful.add(name)
            raise
        if claim is None:
            return False
        await self._give_back(claim)
        return True

    def is_held_here(self, *name: str) -> bool:
        """By this process, or waited for."""
        return name in self._locks

    @property
    def lease(self) -> float:
        """Seconds."""
        return self._lease

    @asynccontextmanager
    async def _alone(self, name: tuple[str, ...]) -> AsyncIterator[None]:
        lock, holders = self._locks.get(name, (None, 0))
        if lock is None:
            lock = asyncio.Lock()
        self._locks[name] = (lock, holders + 1)
        try:
            if lock.locked():
                try:
                    await asyncio.wait_for(lock.acquire(), self._wait)
                except TimeoutError:
                    raise _busy() from None
            else:
                await lock.acquire()
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, holders = self._locks[name]
            if holders == 1:
                del self._locks[name]
            else:
                self._locks[name] = (lock, holders - 1)

    async def _claimed(self, name: tuple[str, ...], until: float) -> Claim:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE_SECONDS
        while True:
            try:
                claim = await self._store.claim(self._holder, *name)
            except BaseException:  # it may have been taken, and the answer lost
                self._doubtful.add(name)
                raise
            if claim is not None:
                return claim
            if loop.time() + pause > until:
                raise _busy()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _give_back(self, claim: Claim) -> None:
        """Nobody whose work is done is bothered with what the store cannot do just now."""
        self._left.add(claim)
        try:
            await asyncio.shield(self._store.release(claim))
            self._left.discard(claim)
        except VivavoceError as error:
            log.warning("a claim is given back later: %s", error.code)


def _busy() -> ConversationBusy:
    return ConversationBusy(
        "The conversation is still answering an earlier message; try again shortly.", retry_after=RETRY_AFTER_SECONDS
    )
