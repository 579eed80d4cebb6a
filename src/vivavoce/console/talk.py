"""Talking to an agent beside the trace of what it does: a conversation like any other, whose progress is shown while it comes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response, StreamingResponse

from vivavoce.console import page, review, showing
from vivavoce.console.visit import Page, Visit
from vivavoce.domain.conversation import ENVIRONMENTS
from vivavoce.engine.progress import CallFinished, CallStarted, InterimSpoken, Progress, TextReleased
from vivavoce.errors import Invalid, VivavoceError
from vivavoce.service import hiding
from vivavoce.service.chats import CHANNELS, Answered, Idempotency, Opening, Said, Taken
from vivavoce.service.redaction import sees_personal
from vivavoce.wire.chat import encode

PATH = "/console/agents/{agentId}/talk"
SHOWN = 40  # turns of a conversation that is gone on with
MAX_MESSAGE_ID = 100
MEDIA_TYPE = "application/x-ndjson"


class Spoken(Struct, frozen=True):
    """What a turn came to, as it is kept for whoever asks again with the same message id."""

    id: str
    index: int
    user: str
    reply: str
    is_ended: bool


_spoken = msgspec.json.Decoder(Spoken).decode


async def show(visit: Visit) -> Response:
    agent_id, services, given = visit.agent_id, visit.services, visit.request.query_params
    deployment = await services.deployments.resolve(visit.principal, agent_id, "draft")
    agent = (await services.deployments.prepared(deployment.tree)).agent
    environments = await services.deployments.environments(visit.principal, agent_id)
    values: dict[str, Any] = {"c": None, "conversation": given.get("conversation", ""), "last": 0}
    if values["conversation"] and visit.may("read"):
        values |= await _so_far(visit, values["conversation"])
    return await page.show(
        visit,
        "talk.html",
        "talk",
        agent_id=agent_id,
        base=PATH.replace("{agentId}", showing.segment(agent_id)),
        environments=[name for name in ENVIRONMENTS if environments[name] is not None],
        variants=agent.variants.names,
        default_variant=agent.variants.default,
        languages=agent.languages.all,
        channels=CHANNELS,
        given=given,
        is_call=given.get("mode") == "call",
        origin=str(visit.request.base_url).rstrip("/"),
        mark_names=review.MARKS,
        reasons=review.REASONS,
        **values,
    )


async def _so_far(visit: Visit, id: str) -> dict[str, Any]:
    """A conversation that is gone on with: its last turns."""
    service = visit.services.conversations
    head = await service.part(visit.principal, visit.agent_id, id, first=0, limit=0)
    first = max(0, head.conversation.turns - SHOWN)
    found = await service.part(visit.principal, visit.agent_id, id, first=first, limit=SHOWN)
    body = await asyncio.to_thread(hiding.detail_of, found, visit.principal, has_requests=False)
    return {"c": body, "last": found.conversation.turns, **await review.turn_values(visit, found)}


async def begin(visit: Visit) -> Response:
    attributes: Any = {}
    if visit.field("attributes").strip():
        try:
            attributes = msgspec.json.decode(visit.field("attributes"))
        except msgspec.DecodeError as error:
            raise Invalid(f"The attributes are not valid JSON: {error}.") from error
        if not isinstance(attributes, dict):
            raise Invalid('The attributes should be a JSON object, such as {"plan": "gold"}.')
    opening = Opening(
        environment=visit.field("environment") or "sandbox",
        variant=visit.field("variant") or None,
        channel=visit.field("channel") or None,
        asr_language=visit.field("language") or None,
        tts_language=visit.field("language") or None,
        integration_attributes=attributes,
        caller_number=visit.field("number") or None,
        simulated_at=visit.field("simulated_at") or None,
    )
    progress = visit.services.chats.opening(
        visit.principal, visit.agent_id, opening, idempotency=_idempotency(visit, "")
    )
    return await _stream(visit, progress)


async def say(visit: Visit) -> Response:
    id = visit.path("conversationId")
    said = Said(
        text=visit.field("message"),
        dtmf=visit.field("keys"),
        asr_language=visit.field("language") or None,
        tts_language=visit.field("language") or None,
    )
    progress = visit.services.chats.responding(
        visit.principal, visit.agent_id, id, said, idempotency=_idempotency(visit, id)
    )
    return await _stream(visit, progress)


async def end(visit: Visit) -> Response:
    await visit.services.chats.end(visit.principal, visit.agent_id, visit.path("conversationId"))
    return Response(status_code=204)


def _idempotency(visit: Visit, id: str) -> Idempotency | None:
    """A message that is sent again, since nobody knows whether it arrived, is taken once."""
    given = visit.field("message_id")
    if not given:
        return None
    if len(given) > MAX_MESSAGE_ID:
        raise Invalid(f"message_id should have at most {MAX_MESSAGE_ID} characters.")
    form = {name: values for name, values in visit.form.items() if name != "csrf"}
    fingerprint = hashlib.sha256(msgspec.json.encode(form, order="sorted")).hexdigest()
    key = f"console/{visit.agent_id}/{id}/{visit.principal.key_id}/{given}"
    return Idempotency(key=key, fingerprint=fingerprint, render=lambda taken: (200, encode(_spoken_of(visit, taken))))


def _spoken_of(visit: Visit, taken: Taken) -> Spoken:
    """Only what was hidden before it was kept is there to be shown again."""
    turn = taken.turn
    user, reply = turn.input.text or turn.input.shown_dtmf, turn.reply
    if not sees_personal(visit.principal):
        user, reply = hiding.said_of(taken)
    return Spoken(taken.conversation.id, taken.turn.index, user, reply, taken.conversation.is_ended)


async def _stream(visit: Visit, progress: AsyncIterator[Progress | Taken | Answered]) -> Response:
    """Lines of JSON: pieces of the reply and what is done meanwhile, then the committed turn. What is refused at once is an error."""
    first = await anext(progress)

    async def lines() -> AsyncIterator[bytes]:
        item: Progress | Taken | Answered = first
        try:
            while True:
                async for line in _told(visit, item):
                    yield line
                following = await anext(progress, None)
                if following is None:
                    return
                item = following
        except VivavoceError as error:
            yield _line({"type": "error", "message": error.message, "code": error.code})

    return StreamingResponse(lines(), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store", **page.HEADERS})


async def _told(visit: Visit, item: Progress | Taken | Answered) -> AsyncIterator[bytes]:
    if isinstance(item, (Taken, Answered)):
        spoken = _spoken(item.body) if isinstance(item, Answered) else _spoken_of(visit, item)
        # The words first: the trace is for whoever goes on looking.
        yield _line({"type": "turn", **msgspec.to_builtins(spoken)})
        yield _line({"type": "trace", "index": spoken.index, "html": await _trace(visit, spoken)})
    elif not sees_personal(visit.principal):
        return  # whole committed turns, redacted, and nothing before them
    elif isinstance(item, TextReleased):
        yield _line({"type": "text", "text": item.text})
    elif isinstance(item, InterimSpoken):
        yield _line({"type": "interim", "text": item.text})
    elif isinstance(item, CallStarted):
        yield _line({"type": "call", "name": item.name})
    elif isinstance(item, CallFinished):
        yield _line({"type": "called", "name": item.call.name, "error": item.call.error})


async def _trace(visit: Visit, spoken: Spoken) -> str:
    """ "" for a key that may chat and not read."""
    if not visit.may("read"):
        return ""
    found = await visit.services.conversations.part(
        visit.principal, visit.agent_id, spoken.id, first=spoken.index, limit=1
    )
    if "pii" in visit.principal.permissions:
        body = hiding.detail_of(found, visit.principal, has_requests=False)
    else:
        body = await asyncio.to_thread(hiding.detail_of, found, visit.principal, has_requests=False)
    return page.text(visit, "turn_part.html", c=body, t=body["turns"][0], **await review.turn_values(visit, found))


def _line(value: dict[str, Any]) -> bytes:
    return encode(value) + b"\n"


PAGES = (
    Page(method="GET", path=PATH, handler=show, permission="chat"),
    Page(method="POST", path=PATH, handler=begin, permission="chat"),
    Page(method="POST", path=f"{PATH}/{{conversationId}}", handler=say, permission="chat"),
    Page(method="POST", path=f"{PATH}/{{conversationId}}/end", handler=end, permission="chat"),
)
