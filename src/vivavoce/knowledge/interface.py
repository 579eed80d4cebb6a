"""What the engine asks of the knowledge base."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct


class Match(Struct, frozen=True, kw_only=True):
    """A topic and how far it is from the query: 0 the same words, 1 nothing in common."""

    name: str
    distance: float


class PassageMatch(Struct, frozen=True, kw_only=True):
    """A passage by its place in the agent's list; `distance` 0 says all that was asked, 1 nothing."""

    number: int
    distance: float


class PassageRetriever(Protocol):
    def search(self, question: str, earlier: tuple[str, ...] = (), *, limit: int = 3) -> list[PassageMatch]:
        """The passages that may answer, best first."""
        ...

    def wait(self, seconds: float) -> None:
        """Waits for the index to be whole, at most so long; before that it finds less."""
        ...


class Retriever(Protocol):
    def search(
        self, query: str, earlier: tuple[str, ...], *, limit: int, threshold: float, excluded: Collection[str] = ()
    ) -> list[Match]:
        """At most `limit` topics within `threshold`, nearest first. `earlier` inputs only help; they never stand alone."""
        ...

    def wait(self, seconds: float) -> None:
        """Waits for the index to be whole, at most so long; before that it finds less."""
        ...

    def similarity(self, text: str, topic: str) -> float:
        """How much of what `text` says is in the topic's content and actions, from 0 to 1."""
        ...
