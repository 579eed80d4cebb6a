"""The least that a durable turn can cost: one route, one hop to a child process, one SQLite commit of 4 KB."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ROW = b"x" * 4096


def child(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)
    os._exit(0)


def main(port: int, path: str) -> None:
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        child(theirs)
    theirs.close()
    ours.setblocking(False)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, b BLOB)")
    lock = asyncio.Lock()

    async def turn(request: Request) -> Response:
        body = msgspec.json.decode(await request.body())
        loop = asyncio.get_running_loop()
        async with lock:
            await loop.sock_sendall(ours, b"call")
            await loop.sock_recv(ours, 65536)
        db.execute("INSERT INTO t (b) VALUES (?)", (ROW,))
        return Response(
            msgspec.json.encode({"conversationId": "c", "response": body.get("message", "")}),
            media_type="application/json",
        )

    app = Starlette(routes=[Route("/{path:path}", turn, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
