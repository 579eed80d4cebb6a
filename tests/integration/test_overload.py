"""Beyond what it can do a server says so and when to come again, finishes what it has begun, and waits for no slow client for ever."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn

from tests.integration.test_many_processes import AGENT, MODEL
from tests.support.http import KEY, Api, api
from tests.support.talk import run, script, serving, write
from vivavoce.api import app
from vivavoce.cli import protocol
from vivavoce.cli.protocol import Patient
from vivavoce.wiring.doors import application


def test_beyond_capacity_some_are_told_to_come_again_and_all_others_are_answered(tmp_path: Path) -> None:
    async def go() -> None:
        async with api(write(tmp_path, AGENT), script(MODEL), requests=8) as http:
            ids = [(await http.open())["conversationId"] for _ in range(8)]
            sent = [http.say(ids[n % 8], "act 0.02") for n in range(200)]
            answers = await asyncio.gather(*sent)
            found = Counter(status for status, _, _ in answers)
            assert set(found) == {200, 503} and found[200] >= 8
            for status, told, headers in answers:
                if status == 503:
                    assert told["error_code"] == "OVERLOADED" and int(headers["Retry-After"]) >= 1
            for id in ids:  # whatever was refused left nothing behind
                assert (await http.say(id, "hello"))[0] == 200
            assert (await http.call("GET", "/healthz"))[0] == 200

    run(go())


def test_a_key_that_sends_too_much_is_told_so_and_others_are_not_held_up(tmp_path: Path) -> None:
    async def go() -> None:
        async with api(write(tmp_path, AGENT), script(MODEL), key_rate=0.5) as http:
            made = [
                (await http.call("POST", "/v1/keys", {"name": "a", "accountId": account}))[1]["key"]
                for account in (None, "acme")
            ]
            path = "/v1/agents/tiny/conversations"
            found = [await http.call("GET", path, key=made[0]) for _ in range(3)]
            assert found[0][0] == 200  # two seconds' worth at once is one
            status, told, headers = found[-1]
            assert status == 429 and "RATE_LIMITED" in str(told) and int(headers["Retry-After"]) >= 1
            assert (await http.call("GET", path, key=made[1]))[0] == 200
            assert (await http.call("GET", path))[0] == 200  # the operator

    run(go())


async def patient(folder: Path, check: Any, **overrides: Any) -> None:
    """Served as `vivavoce serve` does it."""
    async with serving(folder, script(MODEL), **overrides) as talk:
        started = talk().started
        sock = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            application(started.settings, started.services), http=Patient, lifespan="off", log_level="error"
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.005)
        await check(sock.getsockname()[1])
        server.should_exit = True
        await task
        sock.close()


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"POST /v1/keys HTTP/1.1\r\nHost: x\r\n"])
def test_who_does_not_finish_saying_what_it_wants_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.3)

    async def check(port: int) -> None:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        try:
            assert await asyncio.wait_for(reader.read(), 5) == b""
        except ConnectionResetError:
            pass
        assert 0.2 < time.monotonic() - began < 4
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # and who is quick may take its time after
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"}")
        await asyncio.sleep(0.5)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"}")
        writer.close()

    run(patient(write(tmp_path, AGENT), check))


def test_who_does_not_read_its_answer_holds_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SEND_SECONDS", 0.2)

    async def go() -> None:
        async with serving(write(tmp_path, AGENT), script(MODEL)) as talk:
            services = talk().started.services
            served, sent = application(talk().started.settings, services), 0

            async def receive() -> Any:
                return {"type": "http.request", "body": b""}

            async def send(message: Any) -> None:
                nonlocal sent
                sent += 1
                if message["type"] == "http.response.body":
                    await asyncio.Event().wait()  # for ever

            scope = {
                "type": "http", "method": "GET", "path": "/docs", "raw_path": b"/docs", "query_string": b"",
                "headers": [], "http_version": "1.1", "scheme": "http", "root_path": "", "app": None,
            }  # fmt: skip
            await asyncio.wait_for(served(scope, receive, send), 5)
            assert sent >= 2 and services.admission.in_work == 0

    run(go())


@pytest.mark.parametrize("many", [True, False])
def test_headers_without_end_are_refused_before_they_are_kept(tmp_path: Path, many: bool) -> None:
    async def check(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + (b"" if many else b"X-A: "))
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 8 << 20 and not reader.at_eof():
                part = b"X-A: b\r\n" * 8_000 if many else b"a" * 64_000
                writer.write(part)
                await writer.drain()
                sent += len(part)
                await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            assert b" 431 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        assert sent < 4 << 20
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # what is large and ends is refused as well
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n")
        assert b" 431 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        body = b'{"message": "' + b"a" * 200_000 + b'"}'  # a body is no header, however it arrives
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /v1/agents/tiny/debug-chat/x HTTP/1.1\r\nHost: x\r\nX-API-KEY: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (KEY.encode(), len(body), body)
        )
        assert b" 431 " not in await asyncio.wait_for(reader.readline(), 5)
        writer.close()

    run(patient(write(tmp_path, AGENT), check))


def test_bodies_that_never_arrive_take_nobodys_place(tmp_path: Path) -> None:
    async def check(port: int) -> None:
        slow = []
        for path in ("/console/sign-in", "/v1/agents/tiny/debug-chat") * 20:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\nContent-Length: 1000\r\n\r\n{{".encode()
            )
            slow.append(writer)
        await asyncio.sleep(0.1)
        async with aiohttp.ClientSession() as session:
            http = Api(session, f"http://127.0.0.1:{port}")
            assert (await http.call("GET", "/v1/agents/tiny/conversations"))[0] == 200
            assert (await http.open())["response"] is not None
        for writer in slow:
            writer.close()

    run(patient(write(tmp_path, AGENT), check, requests=8))


@pytest.mark.parametrize(
    "beside", [b"0\r\n" + b"T: t\r\n" * 500_000, b"1;" + b"x" * 4_000_000, b"0\r\nT: " + b"t" * 4_000_000]
)
def test_what_stands_beside_a_body_has_an_end_too(tmp_path: Path, beside: bytes) -> None:
    async def check(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(beside), 50_000):
                writer.write(beside[start : start + 50_000])
                await writer.drain()
            await asyncio.wait_for(reader.read(), 5)
            writer.write(b"x")
            await writer.drain()
        assert writer.is_closing() or reader.at_eof()
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # a body in the smallest of chunks is taken
        body = b'{"clientEnv": "sandbox"}'
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        writer.write(
            b"POST /v1/agents/tiny/debug-chat HTTP/1.1\r\nHost: x\r\nX-API-KEY: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
            % KEY.encode()
            + chunks
        )
        assert b" 201 " in await asyncio.wait_for(reader.readline(), 10)
        writer.close()

    run(patient(write(tmp_path, AGENT), check))


def test_a_handshake_that_is_too_large_for_its_reader_is_answered(tmp_path: Path) -> None:
    async def check(port: int) -> None:
        upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        for more in (b"X-A: " + b"a" * 9_000 + b"\r\n", b"X-A: b\r\n" * 300):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /v1/calls/x HTTP/1.1\r\nHost: x\r\n" + upgrade + more + b"\r\n")
            assert b" 431 " in await asyncio.wait_for(reader.readline(), 5)
            writer.close()

    run(patient(write(tmp_path, AGENT), check))
