"""Talking to an agent beside the trace of what it does: a conversation like any other, whose progress is shown while it comes."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response, StreamingResponse

from vivavoce.console import page, showing, version
from vivavoce.console.turns import MARKS, REASONS, read, rendered, values
from vivavoce.console.visit import Page, Visit
from vivavoce.domain.conversation import ENVIRONMENTS
from vivavoce.engine.progress import CallFinished, CallStarted, InterimSpoken, Progress, TextReleased
from vivavoce.errors import NOT_JSON, Invalid, VivavoceError
from vivavoce.service import hiding
from vivavoce.service.chats import CHANNELS, Answered, Idempotency, Opening, Said, Taken
from vivavoce.service.redaction import sees_personal
from vivavoce.wire.chat import encode

log = logging.getLogger(__name__)
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
    conversation = given.get("conversation", "")
    so_far = await _so_far(visit, conversation) if conversation and visit.may("read") else {"c": None}
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
        reasons=REASONS,
        conversation=conversation,
        **(await version.values(visit, is_talk=True) if visit.may("read") else {"state": ""}),
        **{"mark_names": MARKS, **so_far},
    )


async def _so_far(visit: Visit, id: str) -> dict[str, Any]:
    """A conversation that is gone on with: its last turns."""
    turns = (await visit.services.conversations.head(visit.principal, visit.agent_id, id)).turns
    found, body = await read(visit, id, max(0, turns - SHOWN), limit=SHOWN)
    return {"c": body, **await values(visit, found)}


def opening_of(visit: Visit) -> Opening:
    """What the form says of a conversation that begins."""
    return Opening(
        environment=visit.field("environment") or "sandbox",
        variant=visit.field("variant") or None,
        channel=visit.field("channel") or None,
        asr_language=visit.field("language") or None,
        tts_language=visit.field("language") or None,
        integration_attributes=_attributes(visit.field("attributes")),
        caller_number=visit.field("number").strip() or None,
        simulated_at=_moment(visit, visit.field("simulated_at")),
    )


def _attributes(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        found = msgspec.json.decode(text)
    except NOT_JSON as error:
        raise Invalid(f"The attributes are not valid JSON: {error}.") from error
    if not isinstance(found, dict):
        raise Invalid('The attributes should be a JSON object, such as {"plan": "gold"}.')
    return found


def _moment(visit: Visit, text: str) -> str | None:
    """A time as people write it, where the server's clock is."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=visit.setting.zone).isoformat() if text else None
    except ValueError:
        raise Invalid(f"The time is {text[:40]!r}; it should be one such as 2026-12-24T18:30.") from None


async def begin(visit: Visit) -> Response:
    progress = visit.services.chats.opening(
        visit.principal, visit.agent_id, opening_of(visit), idempotency=_idempotency(visit, "")
    )
    return await _stream(visit, progress)


async def say(visit: Visit) -> Response:
    id = visit.path("conversationId")
    said = Said(text=visit.field("message"), dtmf=visit.field("keys"))
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
    items = _held(progress)
    first = await anext(items)

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for line in _told(visit, first):
                yield line
            async for item in items:
                async for line in _told(visit, item):
                    yield line
        except VivavoceError as error:
            yield _line({"type": "error", "message": error.message, "code": error.code})
        except Exception as error:  # a line that only broke off would be sent again and again
            log.error("a talk failed: error=%s", type(error).__name__, exc_info=error)
            message = "Something went wrong on the server; its log has the details."
            yield _line({"type": "error", "message": message, "code": "INTERNAL_ERROR"})

    return StreamingResponse(lines(), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store", **page.HEADERS})


_running: set[asyncio.Task[None]] = set()


async def _held(progress: AsyncIterator[Progress | Taken | Answered]) -> AsyncIterator[Progress | Taken | Answered]:
    """The same; but a turn that has begun goes on to its end when nobody listens any more: what it has done cannot be undone."""
    items: asyncio.Queue[Progress | Taken | Answered | BaseException | None] = asyncio.Queue()

    async def go_on() -> None:
        try:
            async for item in progress:
                items.put_nowait(item)
            items.put_nowait(None)
        except Exception as error:  # told to whoever listens
            items.put_nowait(error)

    task = asyncio.create_task(go_on())
    _running.add(task)
    task.add_done_callback(_running.discard)
    while True:
        item = await items.get()
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item
        yield item


async def _told(visit: Visit, item: Progress | Taken | Answered) -> AsyncIterator[bytes]:
    if isinstance(item, (Taken, Answered)):
        spoken = await _again(visit, item) if isinstance(item, Answered) else _spoken_of(visit, item)
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


async def _again(visit: Visit, answered: Answered) -> Spoken:
    """What was answered before; without the right to personal data, as it is hidden by now."""
    spoken = _spoken(answered.body)
    if sees_personal(visit.principal) or not visit.may("read"):
        return spoken
    _, body = await read(visit, spoken.id, spoken.index, limit=1)
    (turn,) = body["turns"]
    return replace(spoken, user=turn["user_input"] or turn["user_input_dtmf"], reply=turn["agent_response"])


async def _trace(visit: Visit, spoken: Spoken) -> str:
    """ "" for a key that may chat and not read, and where it cannot be shown: the turn is committed all the same."""
    if not visit.may("read"):
        return ""
    try:
        return await rendered(visit, spoken.id, spoken.index)
    except Exception as error:  # the message must not be sent again for it
        log.error("a trace could not be shown: error=%s", type(error).__name__, exc_info=error)
        return ""


def _line(value: dict[str, Any]) -> bytes:
    return encode(value) + b"\n"


PAGES = (
    Page(method="GET", path=PATH, handler=show, permission="chat"),
    Page(method="POST", path=PATH, handler=begin, permission="chat"),
    Page(method="POST", path=f"{PATH}/{{conversationId}}", handler=say, permission="chat"),
    Page(method="POST", path=f"{PATH}/{{conversationId}}/end", handler=end, permission="chat"),
)
