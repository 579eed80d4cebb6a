"""What differs between the engines that keep the tables, beside their SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from vivavoce.domain.record import Count, Criteria, Index, Order, Position, Text
from vivavoce.store.sealing import Seal
from vivavoce.store.tables.connection import Connection, Database
from vivavoce.store.tables.matching import Matching


class Words(Protocol):
    """What was said, found by its words, of which only keyed hashes are kept."""

    async def put(self, c: Connection, number: int, scope: int, seal: Seal, index: Index) -> None: ...

    async def remove(self, c: Connection, number: int) -> int: ...

    def matching(self, scope: int, text: Text) -> tuple[str, str]:
        """(the index, what to match in it)."""
        ...


class Finding(Protocol):
    """Which conversations match, by statements that read no more than the page needs."""

    async def matching(self, c: Connection, scope: int, criteria: Criteria) -> Matching: ...

    async def page(
        self, c: Connection, wanted: Matching, order: Order, after: Position | None, *, limit: int, offset: int
    ) -> list[Position]:
        """Positions in order, `limit` at most."""
        ...

    async def count(self, c: Connection, wanted: Matching) -> Count: ...

    async def among(self, c: Connection, wanted: Matching, numbers: Sequence[int]) -> list[int]:
        """Those of the numbers that match, in their order."""
        ...

    async def sample(self, c: Connection, wanted: Matching, start: int, limit: int) -> list[int]:
        """Numbers at random, `start` being chance of 32 bits."""
        ...


class Meanings(Protocol):
    """One vector a conversation, with personal data and without."""

    async def put(self, c: Connection, number: int, scope: int, model: str, plain: bytes, redacted: bytes) -> None: ...

    def note(self, scope: int, number: int, plain: bytes | None, redacted: bytes | None) -> None:
        """Vectors that are on the disk now, or None for those that went."""
        ...

    async def nearest(self, c: Connection, scope: int, column: str, query: bytes, low: int, high: int) -> Sequence[int]:
        """Numbers between the bounds, those that seem nearest first: all that are worth comparing in full."""
        ...


class Claims(Protocol):
    """Who works at what, by name; see the store's interface."""

    async def live(self, holder: str, seconds: float) -> None: ...

    async def leave(self, holder: str) -> None: ...

    async def take(self, name: bytes, holder: str, token: int) -> str | None:
        """The holder before ("" when there was none), or None when a living one has it."""
        ...

    async def keep(self, name: bytes, holder: str, token: int) -> None: ...

    async def release(self, name: bytes, token: int) -> None: ...

    async def check(self, c: Connection, name: bytes, token: int) -> None:
        """Raises Refused when it is held no longer; nobody takes it before this transaction is over."""
        ...


class News(Protocol):
    """What processes tell each other; see the store's interface."""

    async def tell(self, news: str) -> None: ...

    async def listen(self, heard: Callable[[str | None], None]) -> None: ...


class Engine(Protocol):
    @property
    def database(self) -> Database: ...

    @property
    def finding(self) -> Finding: ...

    @property
    def words(self) -> Words: ...

    @property
    def meanings(self) -> Meanings: ...

    @property
    def claims(self) -> Claims: ...

    @property
    def news(self) -> News: ...

    @property
    def appends_check(self) -> bool:
        """The statement that appends a turn looks at its claim, and gives it back."""
        ...
