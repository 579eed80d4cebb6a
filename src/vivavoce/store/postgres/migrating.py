"""Brings a database on PostgreSQL to this version, while processes of the version before go on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg

from vivavoce.store.interface import StoreError
from vivavoce.store.postgres.database import CONNECT_SECONDS, PostgresConnection
from vivavoce.store.sealing import Keyring
from vivavoce.store.statements import Migration, migrations
from vivavoce.store.statements import statements as queries
from vivavoce.store.tables import auditing

log = logging.getLogger(__name__)
LOCK = 0x76697661766F6365  # "vivavoce": one process migrates at a time
LOCK_TIMEOUT = "5s"  # a change of tables waits no longer than this for who uses them, since others wait behind it
LOCK_ATTEMPTS = 12

_DONE = """CREATE TABLE IF NOT EXISTS migrations (
    number integer PRIMARY KEY, kind text NOT NULL, at timestamptz NOT NULL DEFAULT now()
)"""


async def run(url: str, keyring: Keyring, *, is_last: bool) -> list[int]:
    """Migrates the database at that address; the numbers of what was run. Raises StoreError."""
    try:
        raw = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except (asyncpg.PostgresError, OSError, TimeoutError, ValueError) as error:
        raise StoreError(f"The database cannot be opened: {type(error).__name__}.") from error
    try:
        done = await migrate(raw, keyring, queries("postgres"), "the database", is_last=is_last)
    finally:
        await raw.close()
    return [migration.number for migration in done]


async def pending(raw: Any) -> list[Migration]:
    """What this version knows and the database does not have."""
    if await raw.fetchval("SELECT to_regclass('migrations')") is None:
        return migrations("postgres")
    done = {row[0] for row in await raw.fetch("SELECT number FROM migrations")}
    return [migration for migration in migrations("postgres") if migration.number not in done]


async def migrate(
    raw: Any,
    keyring: Keyring,
    statements: Mapping[str, str],
    place: str,
    *,
    is_last: bool = False,
    after: Callable[[Any], Awaitable[None]] | None = None,
) -> list[Migration]:
    """Runs what may run while the version before serves; with `is_last` also what has to wait until it is gone."""
    await raw.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        await _check_version(raw, place)
        done = []
        for migration in await pending(raw):
            if migration.is_post and not is_last:
                break
            await _run(raw, migration, place)
            log.info("migrated %s to %d", place, migration.number)
            done.append(migration)
        tables = PostgresConnection(raw, statements)
        async with raw.transaction():
            await auditing.begin(tables, keyring, datetime.now(UTC))
        await _check_key(raw, keyring, place)
        await tables.all("add_months")
        if after is not None:
            await after(raw)
        return done
    except asyncpg.InsufficientPrivilegeError as error:
        raise StoreError(
            f"The database at {place} needs tables that this user may not make; run `vivavoce migrate` as their owner."
        ) from error
    finally:
        await raw.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def _check_version(raw: Any, place: str) -> None:
    """Tables that a newer version has only added to can be used; those that it has finished changing cannot."""
    if await raw.fetchval("SELECT to_regclass('migrations')") is None:
        await raw.execute(_DONE)
    known = {migration.number for migration in migrations("postgres")}
    rows = await raw.fetch("SELECT number FROM migrations WHERE kind = 'post'")
    if any(row[0] not in known for row in rows):
        raise StoreError(f"The database at {place} was made by a newer version of vivavoce; use that version.")


async def _run(raw: Any, migration: Migration, place: str) -> None:
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        try:
            async with raw.transaction():
                await raw.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                await raw.execute(migration.script)
                kind = "post" if migration.is_post else "pre"
                await raw.execute("INSERT INTO migrations (number, kind) VALUES ($1, $2)", migration.number, kind)
                return
        except asyncpg.LockNotAvailableError as error:
            if attempt == LOCK_ATTEMPTS:
                raise StoreError(
                    f"The tables at {place} are in use all the time; try again when it is quieter."
                ) from error
            log.info("tables are in use, trying again: %s migration %d", place, migration.number)


async def _check_key(raw: Any, keyring: Keyring, place: str) -> None:
    """A database that was sealed under another key would only fail later, row by row."""
    mark = keyring.name("mark")
    await raw.execute("INSERT INTO seal_mark (id, mark) VALUES (1, $1) ON CONFLICT DO NOTHING", mark)
    if await raw.fetchval("SELECT mark FROM seal_mark") != mark:
        raise StoreError(
            f"The database at {place} was sealed with another key. Give every process the same one: the file seal-key "
            "of the data folder, or VIVAVOCE_SEAL_KEY."
        )
