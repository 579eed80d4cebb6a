"""One request of a command: to the server that is named, to the one that has the data folder, or here when nobody has it."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vivavoce import settings
from vivavoce.errors import UsageError

if TYPE_CHECKING:
    from vivavoce.cli.local import Remote

MOST_LINES = 1_000  # that wait to be printed

F = TypeVar("F", bound=Callable[..., Any])


def connection(function: F) -> F:
    """Where the record is: --url and --api-key of a server, or the local data folder."""
    for option in (
        click.option("--data", help="Folder of the database."),
        click.option("--api-key", envvar="VIVAVOCE_API_KEY", help="The key to send."),
        click.option("--url", envvar="VIVAVOCE_URL", help="A server; without one, the local data folder."),
    ):
        function = option(function)
    return function


def ask(where: dict[str, Any], method: str, path: str, body: Any = None) -> dict[str, Any]:
    from vivavoce.cli.loop import run  # noqa: PLC0415  # not needed for --help

    async def asked() -> dict[str, Any]:
        async with connected(where) as remote:
            return await remote.call(method, path, body)

    return run(asked())


def fetch(where: dict[str, Any], path: str) -> bytes:
    """A body that is not JSON."""
    from vivavoce.cli.loop import run  # noqa: PLC0415

    async def asked() -> bytes:
        async with connected(where) as remote:
            return await remote.fetch(path)

    return run(asked())


def stream(where: dict[str, Any], path: str) -> Iterator[str]:
    """Lines as they come: the API's NDJSON."""
    from vivavoce.cli.loop import run  # noqa: PLC0415

    lines: queue.Queue[str | BaseException | None] = queue.Queue(MOST_LINES)

    async def read() -> None:
        async with connected(where) as remote:
            async for line in remote.lines(path):
                await asyncio.to_thread(lines.put, line)

    def reading() -> None:
        try:
            run(read())
            lines.put(None)
        except BaseException as error:  # noqa: BLE001  # raised again where the lines are read
            lines.put(error)

    threading.Thread(target=reading, daemon=True).start()
    while (line := lines.get()) is not None:
        if isinstance(line, BaseException):
            raise line
        yield line


@asynccontextmanager
async def connected(where: dict[str, Any]) -> AsyncIterator[Remote]:
    """The same API, wherever it is served."""
    from vivavoce.cli.local import Remote, owned, server_of, stored_key  # noqa: PLC0415

    if where.get("url"):
        if not where.get("api_key"):
            raise UsageError("--url needs a key: give --api-key or set VIVAVOCE_API_KEY.")
        async with Remote(where["url"], where["api_key"]) as remote:
            yield remote
        return
    config = settings.load(data=where.get("data"), model="local")
    address = server_of(config)
    if address is not None:
        async with Remote(address, where.get("api_key") or stored_key(config)) as remote:
            yield remote
        return
    from vivavoce.cli.within import within  # noqa: PLC0415

    async with owned(config) as started, within(started) as remote:
        yield remote
