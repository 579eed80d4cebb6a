"""Bringing a database to this version, and moving a record to another engine: done beside any server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vivavoce.errors import UsageError
from vivavoce.settings import Settings
from vivavoce.wiring.adapters import is_postgres, make_store
from vivavoce.wiring.kept import make_keyring


async def migrate(settings: Settings, *, is_last: bool) -> list[int]:
    """The numbers of the migrations that were run."""
    keyring = make_keyring(settings)
    if is_postgres(settings.database):
        from vivavoce.store.postgres import migrating  # noqa: PLC0415  # one adapter is loaded, not all

        return await migrating.run(settings.database, keyring, is_last=is_last)
    store = make_store(settings, keyring)  # opening it is all that there is to it
    await store.open()
    await store.close()
    return []


async def move(
    settings: Settings,
    path: Path,
    *,
    begun: Callable[[int], Callable[[int], None]],
    checking: Callable[[int], Callable[[int], None]],
) -> dict[str, int]:
    """How many rows of each table were moved."""
    if not is_postgres(settings.database):
        raise UsageError("Name the PostgreSQL database to move to with --database or VIVAVOCE_DATABASE.")
    from vivavoce.store.postgres import moving  # noqa: PLC0415

    moved = await moving.move(path, settings.database, make_keyring(settings), begun=begun, checking=checking)
    return moved.rows
