"""The doors through which calls come in, as routes; the rest of the application stands behind them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from msgspec import Struct
from starlette.routing import BaseRoute, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from vivavoce.errors import Unauthenticated, VivavoceError
from vivavoce.service.calls import OPEN_DOOR, Calls
from vivavoce.telephony.dialect import Control, Dialect
from vivavoce.telephony.socket_line import SocketLine

log = logging.getLogger(__name__)
REFUSED = 4401  # close codes of our own: the token is not worth anything,
NOT_FOUND = 4404  # and: nothing takes calls at this address


class Door(Struct, frozen=True, kw_only=True):
    """A socket on which calls arrive: how it speaks, and what is done to a call beside its sound."""

    name: str = OPEN_DOOR  # of the carrier: a token is for one door
    path: str  # with {token}
    dialect: Callable[[], Dialect]
    control: Control


def application(calls: Calls, doors: Sequence[Door], routes: Sequence[BaseRoute], behind: ASGIApp) -> ASGIApp:
    sockets = [WebSocketRoute(door.path, _endpoint(calls, door)) for door in doors]
    return Router([*routes, *sockets], redirect_slashes=False, default=_http_only(behind))


def _http_only(behind: ASGIApp) -> ASGIApp:
    """A socket that is opened anywhere else is closed."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(NOT_FOUND)
        else:
            await behind(scope, receive, send)

    return application


def _endpoint(calls: Calls, door: Door) -> Callable[[WebSocket], object]:
    async def endpoint(socket: WebSocket) -> None:
        try:
            expected = await calls.accept(socket.path_params["token"], door.name)
        except Unauthenticated:
            # A refusal before the handshake would be a bare 403, of which a browser tells nothing.
            await socket.accept()
            await socket.close(REFUSED, "The call's token is not valid, or was used before.")
            return
        await socket.accept()
        async with SocketLine(socket, door.dialect(), door.control, is_told=expected.is_told) as line:
            try:
                call = await line.begun()
                wanted = expected.opening.id or ""
                if door.name != OPEN_DOOR and call != wanted:
                    log.warning("a call came in on another call's token")
                    return
                line.tell({"type": "start", "conversationId": wanted})
                await calls.hold(expected.principal, expected.agent_id, expected.opening, line)
            except TimeoutError:
                log.warning("a line opened and said nothing")
            except VivavoceError as error:
                log.warning("a call could not be held: %s", error.code)
                line.tell({"type": "error", "code": error.code, "message": error.message})
                try:
                    await line.hang_up()
                except VivavoceError as second:
                    log.warning("nor could it be ended: %s", second.code)

    return endpoint
