"""Debug chat over HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec.structs import replace

from vivavoce.api.opening import opening_of
from vivavoce.api.route import Answer, Call, Route
from vivavoce.errors import Invalid
from vivavoce.service import hiding
from vivavoce.service.chats import Answered, Idempotency, Opening, Said, Taken
from vivavoce.service.redaction import sees_personal
from vivavoce.wire.chat import CreateDebugChatBody, DebugChatResponse, RespondDebugChatBody, encode

MAX_IDEMPOTENCY_KEY = 255


Rendered: TypeAlias = Callable[[Taken, Call], bytes]


async def create(call: Call) -> Answer:
    body: CreateDebugChatBody = call.body
    opening = replace(opening_of(body), channel=body.channel, simulated_at=body.simulated_at)
    return await opened(call, call.request.path_params["agentId"], opening, 201, _rendered)


async def respond(call: Call) -> Answer:
    body: RespondDebugChatBody = call.body
    said = Said(
        text=body.message,
        environment=body.client_env,
        asr_language=body.asr_lang_code,
        tts_language=body.tts_lang_code,
        metadata=body.metadata,
    )
    parameters = call.request.path_params
    return await responded(call, parameters["agentId"], parameters["conversationId"], said, _rendered)


def _rendered(taken: Taken, call: Call) -> bytes:
    return encode(reply(taken, call))


async def opened(call: Call, agent_id: str, opening: Opening, status: int, render: Rendered) -> Answer:
    once = _idempotency(call, status, render, None)
    taken = await call.services.chats.open(call.principal, agent_id, opening, idempotency=once)
    return _answer(call, taken, status, render)


async def responded(call: Call, agent_id: str, conversation_id: str, said: Said, render: Rendered) -> Answer:
    message_id = (said.metadata or {}).get("client_message_id")
    # A message id is unique within its conversation only.
    scoped = f"{agent_id}/{conversation_id}/{message_id}" if isinstance(message_id, str) and message_id else None
    once = _idempotency(call, 200, render, scoped)
    taken = await call.services.chats.respond(call.principal, agent_id, conversation_id, said, idempotency=once)
    return _answer(call, taken, 200, render)


def reply(taken: Taken, call: Call) -> Any:
    """As far as whoever asks may see it."""
    conversation = taken.conversation
    url = call.services.turn_audio.url(
        call.principal, conversation.agent_id, conversation.id, conversation.channel, taken.turn
    )
    return hiding.reply_of(taken, call.principal, url)


def _answer(call: Call, taken: Taken | Answered, status: int, render: Rendered) -> Answer:
    if isinstance(taken, Answered):
        return Answer(status=taken.status, body=taken.body)
    return Answer(status=status, body=render(taken, call))


def _idempotency(call: Call, status: int, render: Rendered, message_id: str | None) -> Idempotency | None:
    key = call.request.headers.get("idempotency-key") or message_id
    if not key:
        return None
    if len(key) > MAX_IDEMPOTENCY_KEY and key is not message_id:
        raise Invalid(f"Idempotency-Key should have at most {MAX_IDEMPOTENCY_KEY} characters.")
    # A reply that was made for who may see personal data is another than the one for who may not.
    view = b"whole" if sees_personal(call.principal) else b"hidden"
    fingerprint = hashlib.sha256(b"\0".join((call.request.url.path.encode(), view, call.raw))).hexdigest()
    return Idempotency(
        key=key,
        fingerprint=fingerprint,
        is_of_conversation=key is message_id,
        render=lambda taken: (status, render(taken, call)),
    )


ROUTES = (
    Route(
        method="POST",
        path="/v1/agents/{agentId}/debug-chat",
        handler=create,
        summary="Start a conversation; the reply holds the greeting.",
        permission="chat",
        request=CreateDebugChatBody,
        response=DebugChatResponse,
        status=201,
        errors=(400, 401, 403, 404, 409, 413, 503),
        is_idempotent=True,
    ),
    Route(
        method="POST",
        path="/v1/agents/{agentId}/debug-chat/{conversationId}",
        handler=respond,
        summary="Send one message; an empty one is silence.",
        permission="chat",
        request=RespondDebugChatBody,
        response=DebugChatResponse,
        errors=(400, 401, 403, 404, 409, 410, 413, 503),
        is_idempotent=True,
    ),
)
