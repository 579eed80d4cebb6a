"""What every peer is served by: the same two routes as the product's debug chat, on the same HTTP server.

A peer gives `open() -> id` and `turn(id, message) -> text`, and has the turn on disk when it returns.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

REPLY = "Your order number seven leaves the house tomorrow morning."
RULES = "You answer questions about orders, briefly. Look an order up before you say anything about it."


def look_up(number: int) -> str:
    """Looks an order up by its number."""
    return f"Order {number} leaves tomorrow."


def serve(
    port: int,
    open_: Callable[[], Awaitable[str]],
    turn: Callable[[str, str], Awaitable[str]],
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
) -> None:
    async def opened(request: Request) -> Response:
        await request.body()
        return _json({"conversationId": await open_()}, 201)

    async def answered(request: Request) -> Response:
        body = json.loads(await request.body())
        return _json({"response": await turn(request.path_params["id"], body["message"])}, 200)

    async def alive(request: Request) -> Response:
        return Response("ok")

    base = "/v1/agents/bench/debug-chat"
    routes = [
        Route(base, opened, methods=["POST"]), Route(base + "/{id}", answered, methods=["POST"]),
        Route("/healthz", alive),
    ]  # fmt: skip
    app = Starlette(routes=routes, lifespan=lifespan)
    keep = 120  # s: a slow peer's connections wait for their next turn longer than uvicorn's 5 s
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False, timeout_keep_alive=keep)


def _json(body: dict[str, object], status: int) -> Response:
    return Response(json.dumps(body), status, media_type="application/json")
