"""What is told to whoever watches. It is told after the fact, from the record, and costs the turn nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from vivavoce.domain.conversation import Conversation, Turn

log = logging.getLogger(__name__)


class Telemetry(Protocol):
    def turn(self, conversation: Conversation, turn: Turn) -> None:
        """A turn that is on the disk."""
        ...

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """An answered HTTP request; `route` is the pattern of its path."""
        ...

    def close(self) -> None: ...


class Every:
    """Tells several. One that stumbles keeps nothing from the others, nor from the caller."""

    def __init__(self, watchers: Sequence[Telemetry]) -> None:
        self._watchers = watchers

    def turn(self, conversation: Conversation, turn: Turn) -> None:
        for watcher in self._watchers:
            try:
                watcher.turn(conversation, turn)
            except Exception as error:  # watching must not break what is watched
                log.warning("a turn was not told to %s: %s", type(watcher).__name__, type(error).__name__)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        for watcher in self._watchers:
            try:
                watcher.request(method, route, status, seconds)
            except Exception as error:
                log.warning("a request was not told to %s: %s", type(watcher).__name__, type(error).__name__)

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()
