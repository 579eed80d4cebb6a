"""How the tables are asked: named statements, by a connection that an engine gives for one transaction or one reading."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias, TypeVar

from vivavoce.errors import NOT_JSON

T = TypeVar("T")
DAMAGED = (*NOT_JSON, zlib.error, KeyError, TypeError)  # what reading a row raises that is not as it was written
Row: TypeAlias = Sequence[Any]
Values: TypeAlias = Mapping[str, Any]
NOTHING: Values = {}


class Refused(Exception):
    """A rule of the tables stands against the write."""


class Connection(Protocol):
    """Statements are named, as in the engine's `queries.sql`; `:name` in them stands for a value.

    On an engine that answers at once nothing here waits: what is written against it may be run in one go.
    """

    async def one(self, statement: str, values: Values = NOTHING) -> Row | None:
        """The first row."""
        ...

    async def all(self, statement: str, values: Values = NOTHING) -> Sequence[Row]: ...

    async def run(self, statement: str, values: Values = NOTHING) -> int:
        """How many rows it touched. Raises Refused."""
        ...

    async def each(self, statement: str, values: Sequence[Values]) -> None:
        """The same once for each of the values."""
        ...

    async def select(self, sql: str, values: Values = NOTHING) -> Sequence[Row]:
        """A statement that was made for this question."""
        ...


class Database(Protocol):
    """Every failure of the engine is a StoreError."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def write(self, write: Callable[[Connection], Awaitable[T]], *, is_single: bool = False) -> T:
        """One transaction, on the disk when this returns; `is_single` when it is one statement.

        It may be begun again from the start when another one came between, so that it changes nothing but the tables.
        Whoever cancels its wait does not undo it.
        """
        ...

    async def read(self, read: Callable[[Connection], Awaitable[T]]) -> T: ...

    async def size(self) -> int:
        """Bytes on disk."""
        ...

    async def cut_log(self) -> bool:
        """Empties what the engine keeps of old rows. False when somebody is still reading them."""
        ...


def moment(value: datetime | str) -> datetime:
    """As the engine gives it."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
