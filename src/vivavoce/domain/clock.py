"""What the layers below the service may know of time, chance and meaning: protocols that are handed in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class Random(Protocol):
    def uuid(self) -> str: ...

    def seed(self) -> int:
        """A fresh 63-bit seed."""
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors; nearness is their dot product."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]: ...
