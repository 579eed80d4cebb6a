"""One request of a command: to the server that is named, to the one that has the data folder, or here when nobody has it."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vivavoce import settings
from vivavoce.errors import UsageError

if TYPE_CHECKING:
    from vivavoce.cli.local import Remote
    from vivavoce.settings import Settings

MOST_WAITING = 1_000  # parts of an answer

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


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
    return _handed_over(where, lambda remote: remote.lines(path))


def pieces(where: dict[str, Any], path: str) -> Iterator[bytes]:
    """A long body as it comes."""
    return _handed_over(where, lambda remote: remote.pieces(path))


def _handed_over(where: dict[str, Any], read: Callable[[Remote], AsyncIterator[T]]) -> Iterator[T]:
    """What is read on an event loop of its own."""
    from vivavoce.cli.loop import run  # noqa: PLC0415

    waiting: queue.Queue[T | BaseException | None] = queue.Queue(MOST_WAITING)

    async def reading() -> None:
        async with connected(where) as remote:
            async for part in read(remote):
                await asyncio.to_thread(waiting.put, part)

    def running() -> None:
        try:
            run(reading())
            waiting.put(None)
        except BaseException as error:  # noqa: BLE001  # raised again where the parts are taken
            waiting.put(error)

    threading.Thread(target=running, daemon=True).start()
    while (part := waiting.get()) is not None:
        if isinstance(part, BaseException):
            raise part
        yield part


@asynccontextmanager
async def connected(where: dict[str, Any]) -> AsyncIterator[Remote]:
    """The same API, wherever it is served. `folders` are loaded where nobody serves it."""
    from vivavoce.cli.local import Remote  # noqa: PLC0415

    if where.get("url"):
        if not where.get("api_key"):
            raise UsageError("--url needs a key: give --api-key or set VIVAVOCE_API_KEY.")
        async with Remote(where["url"], where["api_key"]) as remote:
            yield remote
        return
    config = settings.load(data=where.get("data"), model="local")
    with _named(config):
        async with _local(config, where) as remote:
            yield remote


@contextmanager
def _named(config: Settings) -> Iterator[None]:
    """An agent may well be there, in another folder."""
    try:
        yield
    except UsageError as error:
        if "There is no agent" not in str(error):
            raise
        raise UsageError(
            f"{str(error).rstrip('.')} in the data folder {config.data}. --data names another;"
            " an agent is known to one once `vivavoce serve AGENT_DIR --data DIR` has loaded it there."
        ) from None


@asynccontextmanager
async def _local(config: Settings, where: dict[str, Any]) -> AsyncIterator[Remote]:
    from vivavoce.cli.local import Remote, owned, server_of, stored_key  # noqa: PLC0415

    address = server_of(config)
    if address is not None:
        async with Remote(address, where.get("api_key") or stored_key(config)) as remote:
            yield remote
        return
    from vivavoce.cli.within import within  # noqa: PLC0415

    async with owned(config, where.get("folders", ())) as started, within(started) as remote:
        yield remote
