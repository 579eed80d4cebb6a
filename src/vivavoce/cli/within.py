"""The HTTP API on a private socket, so that a command does the same with and without a server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from vivavoce.api.app import application
from vivavoce.cli.local import Remote
from vivavoce.wiring import Running


@asynccontextmanager
async def within(started: Running) -> AsyncIterator[Remote]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = uvicorn.Server(uvicorn.Config(application(started.services), log_level="error", lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.002)
        try:
            async with Remote(f"http://127.0.0.1:{sock.getsockname()[1]}", started.api_key) as remote:
                yield remote
        finally:
            server.should_exit = True
            await task
