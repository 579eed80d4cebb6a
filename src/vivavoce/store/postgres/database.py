"""PostgreSQL as a service: one pool of connections for what is written, another for what is read, so that neither waits for the other."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from vivavoce.store.interface import StoreError
from vivavoce.store.tables.connection import DAMAGED, NOTHING, Connection, Refused, Row, Values

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_CONNECTIONS = 12  # of each pool
ACQUIRE_SECONDS = 20.0
COMMAND_SECONDS = 60.0
CONNECT_SECONDS = 10.0
ATTEMPTS = 8  # of a write between which another one came
IDLE_SECONDS = 300.0
_VALUE = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
_BETWEEN = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
)  # somebody else's write came first: what is true now has to be asked again
_AWAY = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection ended in the very moment in which it was used
    OSError,
    TimeoutError,
)


@lru_cache(maxsize=4096)
def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """A statement whose values are `$1`, `$2`, and their names in that order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _VALUE.sub(number, sql), tuple(names)


class PostgresConnection:
    def __init__(self, raw: Any, statements: Mapping[str, str]) -> None:
        self._raw = raw
        self._sql = statements

    async def one(self, statement: str, values: Values = NOTHING) -> Row | None:
        sql, names = numbered(self._sql[statement])
        row: Row | None = await self._raw.fetchrow(sql, *[values[name] for name in names])
        return row

    async def all(self, statement: str, values: Values = NOTHING) -> Sequence[Row]:
        return await self.select(self._sql[statement], values)

    async def run(self, statement: str, values: Values = NOTHING) -> int:
        sql, names = numbered(self._sql[statement])
        try:
            status: str = await self._raw.execute(sql, *[values[name] for name in names])
        except asyncpg.UniqueViolationError:
            raise
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Refused(str(error)) from error
        return int(status.rpartition(" ")[2])

    async def each(self, statement: str, values: Sequence[Values]) -> None:
        if values:
            sql, names = numbered(self._sql[statement])
            await self._raw.executemany(sql, [[each[name] for name in names] for each in values])

    async def select(self, sql: str, values: Values = NOTHING) -> Sequence[Row]:
        numbered_sql, names = numbered(sql)
        rows: Sequence[Row] = await self._raw.fetch(numbered_sql, *[values[name] for name in names])
        return rows


class PostgresDatabase:
    def __init__(
        self,
        url: str,
        statements: Mapping[str, str],
        *,
        migrate: Callable[[Any], Awaitable[None]],
        tidy: Callable[[Any], Awaitable[bool]],
    ) -> None:
        """`migrate` makes the database ready; `tidy` takes away what is left of rows that were erased, if it can."""
        self._url = url
        self._statements = statements
        self._migrating = migrate
        self._tidying = tidy
        self._writers: Any = None
        self._readers: Any = None
        self._cutting = asyncio.Lock()

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        parts = urlsplit(self._url)
        return f"{parts.hostname or parts.query or 'localhost'}{parts.path}"

    # Life.

    async def open(self) -> None:
        try:
            raw = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS)
            try:
                await self._migrating(raw)
                durability = await raw.fetchval("SHOW synchronous_commit")
                if await raw.fetchval("SHOW fsync") == "off":
                    log.warning(
                        "the database at %s runs with fsync=off: a power cut may take answered turns", self.place
                    )
            finally:
                await raw.close()
            self._writers = await self._pool(durability)
            self._readers = await self._pool(durability)
        except (*_AWAY, ValueError) as error:
            raise StoreError(f"The database at {self.place} cannot be opened: {_told(error)}.") from error

    async def _pool(self, durability: str) -> Any:
        # A turn that was answered is on the disk, whatever is usual on this server.
        settings = {"application_name": "vivavoce", **({"synchronous_commit": "on"} if durability == "off" else {})}
        return await asyncpg.create_pool(
            self._url,
            min_size=1,
            max_size=MOST_CONNECTIONS,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            max_inactive_connection_lifetime=IDLE_SECONDS,
            server_settings=settings,
            reset=_as_it_is,
        )

    async def close(self) -> None:
        for pool in (self._writers, self._readers):
            if pool is not None:
                try:
                    await asyncio.wait_for(pool.close(), ACQUIRE_SECONDS)
                except (TimeoutError, *_AWAY):
                    pool.terminate()
        self._writers = self._readers = None

    @asynccontextmanager
    async def _one_of(self, pool: Any) -> AsyncIterator[Any]:
        if pool is None:
            raise StoreError("The store is closed.")
        raw = await pool.acquire(timeout=ACQUIRE_SECONDS)
        try:
            yield raw
        finally:
            await pool.release(raw)

    # Writing.

    async def write(self, write: Callable[[Connection], Awaitable[T]], *, is_single: bool = False) -> T:
        # Whoever cancels its wait does not undo a write that may already be on the disk.
        return await asyncio.shield(asyncio.ensure_future(self._write(write, is_single=is_single)))

    async def _write(self, write: Callable[[Connection], Awaitable[T]], *, is_single: bool) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._one_of(self._writers) as raw:
                    if is_single:
                        return await write(PostgresConnection(raw, self._statements))
                    async with raw.transaction():
                        return await write(PostgresConnection(raw, self._statements))
            except _BETWEEN as error:
                if attempt == ATTEMPTS:
                    raise StoreError(f"The database could not be written: {_told(error)}.") from error
                await asyncio.sleep(random.uniform(0.0, 0.01 * 2**attempt))  # noqa: S311  # no secret
            except _AWAY as error:
                raise StoreError(f"The database could not be written: {_told(error)}.") from error
        raise AssertionError("unreachable")

    # Reading.

    async def read(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            async with self._one_of(self._readers) as raw:
                return await read(PostgresConnection(raw, self._statements))
        except _AWAY as error:
            raise StoreError(f"The database could not be read: {_told(error)}.") from error
        except DAMAGED as error:
            raise StoreError(
                f"A row of the database is damaged ({type(error).__name__}); restore it from a copy."
            ) from error

    async def size(self) -> int:
        rows = await self.read(lambda c: c.select("SELECT pg_database_size(current_database())"))
        return int(rows[0][0])

    async def cut_log(self) -> bool:
        """What PostgreSQL writes ahead, and sends to its replicas, is for its operator to keep and to drop."""
        async with self._cutting:  # by a connection of its own: who writes does not wait
            try:
                raw = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS)
                try:
                    return await self._tidying(raw)
                finally:
                    await raw.close()
            except _AWAY:
                return False


async def _as_it_is(raw: Any) -> None:
    """Nothing that is done here leaves anything behind in a connection; asking to be sure would double every question."""


def _told(error: BaseException) -> str:
    """The kind of the failure: what PostgreSQL says of it may quote values."""
    return type(error).__name__ if not isinstance(error, TimeoutError) else "it does not answer"
