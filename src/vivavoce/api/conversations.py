"""The record over HTTP."""

from __future__ import annotations

from typing import Any

from vivavoce.api.route import Answer, Call, Query, Route
from vivavoce.wire.chat import encode
from vivavoce.wire.conversations import detail, summary

DEFAULT_LIMIT = 50


async def list_conversations(call: Call) -> Answer:
    limit, offset = call.query["limit"], call.query["offset"]
    page, count = await call.services.conversations.list(
        call.principal, call.request.path_params["agentId"], limit=limit, offset=offset
    )
    body: dict[str, Any] = {
        "conversations": [summary(c) for c in page],
        "count": count,
        "limit": limit,
        "offset": offset,
    }
    return Answer(body=encode(body))


async def get_conversation(call: Call) -> Answer:
    parameters = call.request.path_params
    found = await call.services.conversations.get(call.principal, parameters["agentId"], parameters["conversationId"])
    return Answer(body=encode(detail(found.conversation, found.turns, found.closing, found.deliveries)))


ROUTES = (
    Route(
        method="GET",
        path="/v1/agents/{agentId}/conversations",
        handler=list_conversations,
        summary="Conversations, newest first.",
        permission="read",
        query=(
            Query(name="limit", type="integer", default=DEFAULT_LIMIT, minimum=1, description="How many to return."),
            Query(name="offset", type="integer", default=0, minimum=0, description="How many to leave out first."),
        ),
        response="GetConversationsResponse",
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET",
        path="/v1/agents/{agentId}/conversations/{conversationId}",
        handler=get_conversation,
        summary="One conversation with its turns, metrics and function events.",
        permission="read",
        response="ConversationDetailResponse",
        errors=(401, 403, 404),
    ),
)
