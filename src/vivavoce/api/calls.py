"""Calls: who holds a key is let in to a socket."""

from __future__ import annotations

from vivavoce.api.opening import opening_of
from vivavoce.api.route import Answer, Call, Route
from vivavoce.wire.calls import CreateCallBody, CreateCallResponse
from vivavoce.wire.chat import encode


async def create(call: Call) -> Answer:
    opening = opening_of(call.body)
    invited = await call.services.calls.invite(call.principal, call.request.path_params["agentId"], opening)
    reply = CreateCallResponse(
        conversation_id=invited.conversation_id,
        token=invited.token,
        path=f"/v1/calls/{invited.token}",
        expires_in_seconds=invited.seconds,
    )
    return Answer(status=201, body=encode(reply))


ROUTES = (
    Route(
        method="POST",
        path="/v1/agents/{agentId}/calls",
        handler=create,
        summary="Let one call in: the reply says where its WebSocket is opened, once, within a minute.",
        permission="chat",
        request=CreateCallBody,
        response=CreateCallResponse,
        status=201,
        errors=(400, 401, 403, 404, 409, 413, 503),
    ),
)
