"""What one process has changed that others keep in memory: they forget it, and ask the store again."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import msgspec

from vivavoce.errors import NOT_JSON, VivavoceError
from vivavoce.store.interface import Store

log = logging.getLogger(__name__)

Topic: TypeAlias = Literal[
    "keys", "real_time", "redaction_rules", "deployments", "experiments", "speech", "calls", "erased"
]
DOUBTED: tuple[Topic, ...] = ("keys", "redaction_rules", "real_time", "deployments", "experiments")
DOUBT_SECONDS = 60.0
Forget: TypeAlias = Callable[[tuple[str, ...] | None], None]
_decode = msgspec.json.Decoder(tuple[str, ...]).decode


class News:
    """Told after the change is on the disk. Who hears it is quick: it forgets, and asks when it is asked."""

    def __init__(self, store: Store, own: str) -> None:
        """`own` is this process's name: it has heard its own news."""
        self._store = store
        self._own = own
        self._forget: dict[str, list[Forget]] = defaultdict(list)
        self._doubting: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        await self._store.listen(self._heard)
        self._doubting = asyncio.create_task(self._doubt())

    async def end(self) -> None:
        if self._doubting is not None:
            self._doubting.cancel()
            await asyncio.gather(self._doubting, return_exceptions=True)
            self._doubting = None

    async def _doubt(self) -> None:
        """News may be lost with who tells them: what matters is asked again now and then all the same."""
        while True:
            await asyncio.sleep(DOUBT_SECONDS)
            for topic in DOUBTED:
                self._all_of(topic, None)

    def on(self, topic: Topic, forget: Forget) -> None:
        """`forget` is given what has changed, or None when all of it may have."""
        self._forget[topic].append(forget)

    async def tell(self, topic: Topic, *names: str) -> None:
        """No secret and nobody's name belongs into it. That others hear it late must not undo what was done."""
        try:
            await self._store.tell(msgspec.json.encode((self._own, topic, *names)).decode())
        except VivavoceError as error:
            log.warning("other processes were not told of a change: topic=%s error=%s", topic, error.code)

    def _heard(self, text: str | None) -> None:
        if text is None:  # some may have been missed
            for topic in get_args(Topic):
                self._all_of(topic, None)
            return
        try:
            teller, topic, *names = _decode(text)
        except (*NOT_JSON, ValueError):
            return  # of a version to come
        if teller != self._own:
            self._all_of(topic, tuple(names))

    def _all_of(self, topic: str, names: tuple[str, ...] | None) -> None:
        for forget in self._forget.get(topic, ()):
            forget(names)
