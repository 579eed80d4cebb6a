"""A whole record carried from SQLite into an empty PostgreSQL, in one transaction, and then compared row by row.

Rows stay sealed as they are: both databases belong to the same key. Words are indexed anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
from msgspec import Struct

from vivavoce.store.interface import StoreError
from vivavoce.store.postgres import migrating
from vivavoce.store.postgres.database import CONNECT_SECONDS
from vivavoce.store.postgres.meaning import bits
from vivavoce.store.postgres.searching import vector_of
from vivavoce.store.sealing import Keyring
from vivavoce.store.sqlite.searching import lines_of, opened
from vivavoce.store.sqlite.store import SqliteStore
from vivavoce.store.statements import statements

# What points to another table comes after it. What each row is known by stands beside.
TABLES = {
    "trees": "hash", "deployments": "id", "texts": "hash", "seals": "number", "scopes": "number",
    "conversations": "number", "facets": "facet, number", "snapshots": "conversation", "turns": "conversation, position",
    "closings": "conversation", "deliveries": "conversation, message", "replies": "name", "keys": "id",
    "key_uses": "key", "facts": "name", "fact_sources": "conversation, fact", "work": "kind, key, conversation",
    "receipts": "id", "audit": "number", "audit_head": "id", "tallies": "scope, part, day, environment",
    "documents": "conversation", "vectors": "conversation",
}  # fmt: skip
_NUMBERED = ("seals", "scopes")  # whose numbers the database gives out
_MADE = {"deployments": ("number",)}  # columns that the database fills in
_ORDER = {"deployments": "rowid"}
_REBUILT = ("documents",)  # that are not the same row on both sides
_ADD_DOCUMENT = "INSERT INTO documents VALUES ($1, CAST($2::text AS tsvector), CAST($3::text AS tsvector))"
BATCH = 500

Row: TypeAlias = tuple[Any, ...]
Progress: TypeAlias = Callable[[int], None]


class Moved(Struct, frozen=True, kw_only=True):
    """How many rows of each table there are now, on both sides alike."""

    rows: dict[str, int]


class _Column(Struct, frozen=True):
    name: str
    type: str


async def move(
    path: Path, url: str, keyring: Keyring, *, begun: Callable[[int], Progress], checking: Callable[[int], Progress]
) -> Moved:
    """`begun` and `checking` are told how many rows there are, and then of each that is done.

    Raises StoreError, and the target is as it was, when anything is not as it should be.
    """
    source = SqliteStore(path, keyring)
    await source.open()  # brought to this version first
    await source.close()
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
    try:
        raw = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except (asyncpg.PostgresError, OSError, TimeoutError, ValueError) as error:
        db.close()
        raise StoreError(f"The database to move to cannot be opened: {type(error).__name__}.") from error
    try:
        await migrating.migrate(raw, keyring, statements("postgres"), "the target")
        if await raw.fetchval("SELECT EXISTS (SELECT 1 FROM conversations) OR EXISTS (SELECT 1 FROM keys)"):
            raise StoreError("The database to move to is not empty; name an empty one.")
        sizes = {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}
        async with raw.transaction():
            await _copy(db, raw, keyring, begun(sum(sizes.values())))
            await _check(db, raw, sizes, checking(sum(sizes.values())))
        await raw.execute("ANALYZE")
        return Moved(rows=sizes)
    except asyncpg.PostgresError as error:
        raise StoreError(f"The record could not be moved: {type(error).__name__}: {error}") from error
    finally:
        await raw.close()
        db.close()


async def _copy(db: sqlite3.Connection, raw: Any, keyring: Keyring, done: Progress) -> None:
    first, last = db.execute("SELECT min(number), max(number) FROM conversations").fetchone()
    if first is not None:
        await raw.execute(
            "SELECT add_turns_partition(month) FROM generate_series(date_trunc('month', to_timestamp($1), 'UTC'),"
            " to_timestamp($2), interval '1 month') month",
            first / 1e6, last / 1e6,
        )  # fmt: skip
    await raw.execute("DELETE FROM audit; DELETE FROM audit_head")  # the log of the source goes on
    for table in TABLES:
        columns = await _columns(raw, table)
        async for rows in _source(db, table, columns, keyring):
            if table == "documents":
                await raw.executemany(_ADD_DOCUMENT, rows)
            else:
                await raw.copy_records_to_table(table, records=rows, columns=[column.name for column in columns])
            done(len(rows))
    for table in _NUMBERED:
        await raw.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'number'), coalesce(max(number), 0) + 1, false) FROM {table}"
        )


async def _columns(raw: Any, table: str) -> list[_Column]:
    rows = await raw.fetch(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
        table,
    )
    return [_Column(name, kind) for name, kind in rows if name not in _MADE.get(table, ())]


async def _source(
    db: sqlite3.Connection, table: str, columns: Sequence[_Column], keyring: Keyring
) -> AsyncIterator[list[Row]]:
    """The rows of a table as PostgreSQL takes them."""
    rows = _documents(db, keyring) if table == "documents" else _rows(db, table, columns)
    while batch := await asyncio.to_thread(_some, rows):
        yield batch


def _some(rows: Iterator[Row]) -> list[Row]:
    return [row for _, row in zip(range(BATCH), rows, strict=False)]


def _rows(db: sqlite3.Connection, table: str, columns: Sequence[_Column]) -> Iterator[Row]:
    own = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
    names = [column.name for column in columns if column.name in own]
    order = _ORDER.get(table, TABLES[table])
    for values in db.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY {order}"):
        known = dict(zip(names, values, strict=True))
        if table == "vectors":
            known["plain_signs"], known["redacted_signs"] = bits(known["plain"]), bits(known["redacted"])
        if table == "work":
            known["key"] = known["key"].replace("\0", "/")  # as that of a redaction run was once written
        yield tuple(_typed(known[column.name], column.type) for column in columns)


def _documents(db: sqlite3.Connection, keyring: Keyring) -> Iterator[Row]:
    sql = (
        "SELECT d.conversation, d.body, s.wrapped FROM documents d JOIN conversations c ON c.number = d.conversation"
        " JOIN seals s ON s.number = c.seal ORDER BY d.conversation"
    )
    for number, body, wrapped in db.execute(sql):
        plain, redacted = opened(keyring, wrapped, body)
        yield number, *(vector_of(*(lines_of(text) for text in document)) for document in (plain, redacted))


def _typed(value: Any, kind: str) -> Any:
    if value is None:
        return None
    match kind:
        case "timestamp with time zone":
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        case "boolean":
            return bool(value)
        case _:
            return value


async def _check(db: sqlite3.Connection, raw: Any, sizes: dict[str, int], done: Progress) -> None:
    """Each table has the same rows on both sides, in whatever order an engine thinks that texts stand."""
    for table in TABLES:
        columns = await _columns(raw, table)
        names = ", ".join(column.name for column in columns)
        total, count = 0, 0
        async for row in raw.cursor(f"SELECT {names} FROM {table}", prefetch=BATCH):
            count += 1
            total += _digest(tuple(row))
            if count % BATCH == 0:
                done(BATCH)
        done(count % BATCH)
        if count != sizes[table]:
            raise StoreError(f"{table} has {count:,} rows instead of {sizes[table]:,}; nothing was moved.")
        if table not in _REBUILT and await asyncio.to_thread(_sum, db, table, columns) != total:
            raise StoreError(f"{table} is not the same on both sides; nothing was moved.")


def _sum(db: sqlite3.Connection, table: str, columns: Sequence[_Column]) -> int:
    return sum(_digest(row) for row in _rows(db, table, columns))


def _digest(row: Row) -> int:
    return int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest(), "big")
