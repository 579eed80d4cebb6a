"""What the engine asks of the knowledge base."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct


class Match(Struct, frozen=True, kw_only=True):
    """A topic and how far it is from the query: 0 the same words, 1 nothing in common."""

    name: str
    distance: float


class Retriever(Protocol):
    def search(
        self, query: str, earlier: tuple[str, ...], *, limit: int, threshold: float, excluded: Collection[str] = ()
    ) -> list[Match]:
        """At most `limit` topics within `threshold`, nearest first. `earlier` inputs only help; they never stand alone."""
        ...

    def similarity(self, text: str, topic: str) -> float:
        """How much of what `text` says is in the topic's content and actions, from 0 to 1."""
        ...
