"""The API over a real socket, served in this process or in one of its own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

from tests.support import postgres
from tests.support.talk import serving
from vivavoce.models.interface import Model
from vivavoce.wiring import Running
from vivavoce.wiring.doors import application

KEY = "test-key"


class Api:
    def __init__(self, session: aiohttp.ClientSession, url: str, started: Running | None = None) -> None:
        self.session, self.url, self.started = session, url, started

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = KEY, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, Any]:
        """(status, decoded body, headers). A `body` of bytes is sent as it is."""
        sent = {**({"X-API-KEY": key} if key is not None else {}), **(headers or {})}
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        data = io.BytesIO(raw) if raw is not None and len(raw) > 1 << 19 else raw
        async with self.session.request(method, self.url + path, data=data, headers=sent) as reply:
            raw = await reply.read()
            return reply.status, json.loads(raw) if raw.startswith((b"{", b"[")) else raw, reply.headers

    async def open(self, **body: Any) -> dict[str, Any]:
        status, reply, _ = await self.call("POST", "/v1/agents/tiny/debug-chat", {"clientEnv": "sandbox", **body})
        assert status == 201, reply
        return dict(reply)

    async def say(self, conversation: str, message: str, **body: Any) -> tuple[int, Any, Any]:
        path = f"/v1/agents/tiny/debug-chat/{conversation}"
        return await self.call("POST", path, {"clientEnv": "sandbox", "message": message, **body})


@asynccontextmanager
async def api(folder: Path, model: Model, **overrides: Any) -> AsyncIterator[Api]:
    async with serving(folder, model, **overrides) as talk:
        started = talk().started
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(application(started.settings, started.services), log_level="error", lifespan="off")
        )
        task = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.005)
        async with aiohttp.ClientSession() as session:
            yield Api(session, f"http://127.0.0.1:{sock.getsockname()[1]}", started)
        server.should_exit = True
        await task
        sock.close()


class Process:
    """`vivavoce serve` as a process of its own, which can be killed."""

    def __init__(self, *arguments: str, port: int = 0, env: dict[str, str] | None = None) -> None:
        environ = {**os.environ, "VIVAVOCE_RETRIEVAL": "lexical", "VIVAVOCE_API_KEY": KEY, **(env or {})}
        if "--data" in arguments and "VIVAVOCE_DATABASE" not in environ and postgres.wanted():
            environ["VIVAVOCE_DATABASE"] = postgres.of(Path(arguments[arguments.index("--data") + 1]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vivavoce", "serve", *arguments, "--port", str(port), "--json"],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        self.address: str = json.loads(line)["address"]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        self.process.terminate()
        self.process.communicate(timeout=30)
        return self.process.returncode
