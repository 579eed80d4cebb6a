"""The webhook by which a carrier announces a call: who calls is let in with a token, and told where to send its sound."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from vivavoce.domain.ids import is_conversation_id
from vivavoce.domain.principal import Principal
from vivavoce.errors import Invalid, VivavoceError
from vivavoce.service.calls import Calls
from vivavoce.service.chats import Opening
from vivavoce.service.deployments import Deployments
from vivavoce.service.keys import OPERATOR

log = logging.getLogger(__name__)
MOST_BYTES = 64 << 10
SECONDS = 10.0  # for the body to arrive
MOST_FIELDS = 200


class Caller(Struct, frozen=True, kw_only=True):
    """Who calls, as the carrier says. `call` is its id of the call."""

    call: str
    number: str | None = None
    called: str | None = None
    headers: dict[str, str] = {}


class Carrier(Struct, frozen=True, kw_only=True):
    """`is_signed` is given the address as the carrier knows it, the headers, the raw body and its fields."""

    name: str
    is_signed: Callable[[str, Mapping[str, str], bytes, Mapping[str, str]], bool]
    caller_of: Callable[[Mapping[str, str]], Caller]
    stream_answer: Callable[[str], str]  # given the address of the socket
    busy_answer: Callable[[], str]
    stream: str  # path of the socket, with {token}


def webhook(carrier: Carrier, calls: Calls, deployments: Deployments, public_url: str) -> Route:
    """`POST /voice/CARRIER/{agentId}/{env}`. Nothing is believed before the signature is."""

    async def endpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(SECONDS):
                raw = await _body(request)
        except (ClientDisconnect, TimeoutError):
            return Response(status_code=400)
        try:
            fields = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
        except ValueError:  # more fields than any carrier sends
            return Response(status_code=400)
        query = f"?{request.url.query}" if request.url.query else ""
        address = f"{public_url}{request.url.path}{query}"
        if not carrier.is_signed(address, request.headers, raw, fields):
            log.warning("a webhook of %s was not signed as it should be", carrier.name)
            return Response("The signature is missing or wrong.", 403, media_type="text/plain")
        try:
            token = await _invite(carrier.caller_of(fields), request)
        except VivavoceError as error:
            log.warning("a call of %s was refused: %s", carrier.name, error.code)
            return Response(carrier.busy_answer(), media_type="application/xml")
        socket = urlsplit(public_url)._replace(scheme="ws" if public_url.startswith("http:") else "wss").geturl()
        return Response(
            carrier.stream_answer(socket + carrier.stream.replace("{token}", token)), media_type="application/xml"
        )

    async def _invite(caller: Caller, request: Request) -> str:
        agent_id = request.path_params["agentId"]
        account_id = await deployments.account_of(OPERATOR, agent_id)
        if not is_conversation_id(caller.call):
            raise Invalid("The carrier's id of the call cannot be a conversation's.")
        principal = Principal(
            key_id=carrier.name,
            name=carrier.name,
            account_id=account_id,
            permissions=frozenset(("chat",)),
            agents=frozenset((agent_id,)),
        )
        opening = Opening(
            environment=request.path_params["env"],
            id=caller.call,
            caller_number=caller.number,
            callee_number=caller.called,
            sip_headers=caller.headers,
        )
        return (await calls.invite(principal, agent_id, opening, door=carrier.name)).token

    return Route(f"/voice/{carrier.name}/{{agentId}}/{{env}}", endpoint, methods=["POST"])


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise ClientDisconnect
        parts.append(part)
    return b"".join(parts)
