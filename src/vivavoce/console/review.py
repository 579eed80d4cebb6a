"""One conversation under review: transcript, sound, diagnosis, and what a reviewer says and does about it."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from functools import partial
from typing import Any, get_args

import msgspec
from msgspec.structs import replace
from starlette.responses import Response, StreamingResponse

from vivavoce.audio import pcm, wav
from vivavoce.audio.peaks import Outline
from vivavoce.console import page, showing
from vivavoce.console.origins import Origins, origins
from vivavoce.console.visit import Page, Visit
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import AnnotationType, BadReason, Role
from vivavoce.errors import AgentNotFound, Invalid, NotFound
from vivavoce.service import hiding
from vivavoce.service.conversations import Found, Mark
from vivavoce.service.recordings import Direction, Sound
from vivavoce.service.turn_audio import File
from vivavoce.wire.chat import encode
from vivavoce.wire.ranges import part_of

PATH = "/console/agents/{agentId}/conversations/{conversationId}"
WINDOW = 40  # turns on one page
BEFORE = 10  # turns that are shown before the one that was asked for
POINTS = 1_200  # of a waveform
MOST_OUTLINES = 64  # that are kept, since computing one reads the whole recording
# Layers of the diagnosis, as they can be switched on and off.
LAYERS = {
    "variables": "Variables", "flows": "Flows and steps", "calls": "Function calls", "topics": "Topics", "sources": "Sources",
    "corrections": "Corrections", "latency": "Latency", "interruptions": "Interruptions", "variants": "Variants", "logs": "Logs",
    "entities": "Entities", "requests": "Model requests",
}  # fmt: skip
DEFAULT_LAYERS = ("flows", "calls", "topics", "interruptions", "corrections")
# In the order of the keys 1 to 6: what is said of it, and whose words it is about.
MARKS: dict[AnnotationType, tuple[str, Role]] = {
    "good_response": ("Good response", "agent"),
    "bad_response": ("Bad response", "agent"),
    "wrong_info": ("Wrong information", "agent"),
    "wrong_transcript": ("Wrong transcript", "user"),
    "missing_topic": ("Missing topic", "user"),
    "other": ("Other", "agent"),
}
REASONS: tuple[BadReason, ...] = get_args(BadReason)
_outlines: OrderedDict[str, list[list[float]]] = OrderedDict()


def names(visit: Visit) -> tuple[str, str]:
    return visit.agent_id, visit.path("conversationId")


def address(agent_id: str, id: str) -> str:
    return PATH.replace("{agentId}", showing.segment(agent_id)).replace("{conversationId}", showing.segment(id))


def viewer(visit: Visit) -> Principal:
    """Whoever asks to see what others see without the right to personal data is shown just that."""
    if visit.request.query_params.get("redacted") != "1":
        return visit.principal
    return replace(visit.principal, permissions=visit.principal.permissions - {"pii"})


async def read(
    visit: Visit, first: int, *, limit: int = WINDOW, has_requests: bool = False
) -> tuple[Found, dict[str, Any]]:
    """Some turns, and the conversation as the visitor may see it."""
    found = await visit.services.conversations.part(
        visit.principal, *names(visit), first=first, limit=limit, has_history=has_requests
    )
    who = viewer(visit)
    if "pii" in who.permissions and not has_requests:
        return found, hiding.detail_of(found, who, has_requests=False)
    return found, await asyncio.to_thread(hiding.detail_of, found, who, has_requests=has_requests)


async def origins_of(visit: Visit, tree: str) -> Origins:
    try:
        return origins((await visit.services.deployments.prepared(tree)).agent)
    except AgentNotFound:
        return Origins()


async def show(visit: Visit) -> Response:
    given = visit.request.query_params
    turn = visit.number("turn", given["turn"]) if given.get("turn") else None
    first = visit.number("from", given["from"]) if given.get("from") else max(0, (turn or 0) - BEFORE)
    found, body = await read(visit, first)
    who = viewer(visit)
    state: dict[str, Any] = {}
    if found.transcript is not None:
        state = msgspec.json.decode(msgspec.json.encode(found.transcript.state))
    if "pii" not in who.permissions:
        state = await asyncio.to_thread(hiding.known_of(found).json, state)
    conversation = found.conversation
    return await page.show(
        visit,
        "review.html",
        "conversations",
        agent_id=visit.agent_id,
        c=body,
        **await turn_values(visit, found),
        first=first,
        window=WINDOW,
        turn=turn,
        total=conversation.turns,
        last=first + len(found.turns),
        state=state,
        layers=LAYERS,
        shown_layers=_layers(visit),
        has_sound=conversation.is_recorded and conversation.is_ended,
        is_redacted="pii" not in who.permissions,
        mark_names=MARKS,
        reasons=REASONS,
        nonce=secrets.token_urlsafe(12),
    )


async def turn_values(visit: Visit, found: Found) -> dict[str, Any]:
    """What the template of a turn needs besides the turn."""
    return {
        "here": address(found.conversation.agent_id, found.conversation.id),
        "origins": await origins_of(visit, found.conversation.tree),
        "is_ended": found.conversation.is_ended,
        "can_mark": visit.may("write"),
    }


async def turns(visit: Visit) -> Response:
    """Further turns, for a page that is there already: more of a long conversation, or what was said since."""
    first = visit.number("from", visit.request.query_params.get("from", "0"))
    if not await visit.services.conversations.has_gone_on(visit.principal, *names(visit), first):
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    found, body = await read(visit, first)
    return page.render(
        visit,
        "review_turns.html",
        c=body,
        **await turn_values(visit, found),
        total=found.conversation.turns,
        last=first + len(found.turns),
    )


async def prompt(visit: Visit) -> Response:
    """What models were asked in one turn, part by part, and what they answered."""
    index = visit.number("turn", visit.path("turnIndex"))
    found, body = await read(visit, index, limit=1, has_requests=True)
    if not body["turns"]:
        raise NotFound("The conversation has no such turn.")
    requests = msgspec.json.decode(msgspec.json.encode(body["turns"][0]["llm_requests"]))
    values = {
        "requests": requests,
        "origins": await origins_of(visit, found.conversation.tree),
        "index": index,
        "here": address(*names(visit)),
    }
    if visit.is_fragment:
        return page.render(visit, "prompt_part.html", **values)
    return await page.show(visit, "prompt.html", "conversations", agent_id=visit.agent_id, **values)


# What a reviewer says.


async def annotate(visit: Visit) -> Response:
    kind = next((kind for kind in MARKS if kind == visit.field("type")), None)
    if kind is None:
        raise Invalid("Choose what is said of the turn.")
    index = visit.number("turn", visit.field("turn"))
    reasons = tuple(r for r in REASONS if r in visit.form.get("reasons", ())) if kind == "bad_response" else ()
    role = "user" if kind == "other" and visit.field("role") == "user" else MARKS[kind][1]
    mark = Mark(turn=index, role=role, type=kind, reasons=reasons, text=visit.field("text").strip())
    await visit.services.conversations.annotate(visit.principal, *names(visit), [mark], author=visit.principal.name)
    return await _turn_again(visit, index)


async def remove_annotation(visit: Visit) -> Response:
    await visit.services.conversations.remove_annotation(visit.principal, *names(visit), visit.field("id"))
    return await _turn_again(visit, visit.number("turn", visit.field("turn")))


async def hide(visit: Visit) -> Response:
    index = visit.number("turn", visit.field("turn"))
    await visit.services.hand_redaction.hide(visit.principal, *names(visit), index, visit.field("words"))
    return await _turn_again(visit, index)


async def _turn_again(visit: Visit, index: int) -> Response:
    if not visit.is_fragment:
        return page.redirect(f"{address(*names(visit))}?turn={index}#turn-{index}")
    found, body = await read(visit, index, limit=1)
    return page.render(visit, "turn_part.html", c=body, t=body["turns"][0], **await turn_values(visit, found))


async def note(visit: Visit) -> Response:
    await visit.services.conversations.put_note(
        visit.principal, *names(visit), visit.field("note"), author=visit.principal.name
    )
    return await _said(visit)


async def tags(visit: Visit) -> Response:
    given = [tag for tag in visit.field("tags").split(",") if tag.strip()]
    await visit.services.conversations.put_tags(visit.principal, *names(visit), given)
    return await _said(visit)


async def _said(visit: Visit) -> Response:
    if not visit.is_fragment:
        return page.redirect(address(*names(visit)))
    _, body = await read(visit, 0, limit=0)
    return page.render(visit, "review_said.html", c=body, here=address(*names(visit)), is_saved=True)


async def erase(visit: Visit) -> Response:
    receipt = await visit.services.erasure.conversation(visit.principal, *names(visit))
    return await page.show(visit, "erased.html", "conversations", agent_id=visit.agent_id, receipt=receipt)


# Files.


async def audio(visit: Visit) -> Response:
    sound = await _recording(visit)
    return file_of(visit, sound)


async def turn_audio(visit: Visit) -> Response:
    index = visit.number("turn", visit.path("turnIndex"))
    side: Direction | None = {"user": "user", "agent": "agent"}.get(visit.request.query_params.get("direction", ""))  # type: ignore[assignment]  # its own values
    sound = await visit.services.turn_audio.sound(
        visit.principal,
        *names(visit),
        index,
        direction=side,
        is_redacted="pii" not in viewer(visit).permissions,
    )
    return file_of(visit, sound)


def file_of(visit: Visit, sound: Sound | File) -> Response:
    part = part_of(visit.request.method, visit.request.headers, size=sound.size, etag=sound.etag)
    headers = {**part.headers, **page.HEADERS}
    if not part.length:
        return Response(status_code=part.status, headers=headers, media_type=wav.MEDIA_TYPE)
    return StreamingResponse(sound.read(part.start, part.length), part.status, headers, media_type=wav.MEDIA_TYPE)


async def _recording(visit: Visit) -> Sound:
    return await visit.services.conversations.recording(
        visit.principal,
        *names(visit),
        direction="combined",
        is_redacted="pii" not in viewer(visit).permissions,
        is_mono=False,
    )


async def peaks(visit: Visit) -> Response:
    """The outline of a recording, caller and agent, so that no browser has to read all of it to draw it."""
    sound = await _recording(visit)
    found = _outlines.get(sound.etag)
    samples = (sound.size - wav.HEADER_BYTES) // (2 * pcm.SAMPLE_BYTES)
    if found is None:
        outline = Outline(channels=2, samples=samples, points=POINTS)
        async for piece in sound.read(wav.HEADER_BYTES, sound.size - wav.HEADER_BYTES):
            await asyncio.to_thread(outline.add, piece)
        found = _outlines[sound.etag] = outline.peaks
        while len(_outlines) > MOST_OUTLINES:
            _outlines.popitem(last=False)
    headers = {"Cache-Control": "private, no-store", **page.HEADERS}
    body = encode({"peaks": found, "seconds": samples / pcm.RATE})
    return Response(body, headers=headers, media_type="application/json")


async def export(visit: Visit) -> Response:
    """The conversation as the API gives it; or, for who may see all, the whole record, which can be taken in again."""
    agent_id, id = names(visit)
    found = await visit.services.conversations.get(visit.principal, agent_id, id)
    headers = {"Cache-Control": "no-store", **page.HEADERS}
    if visit.request.query_params.get("format") == "jsonl":
        (line,) = await visit.services.exports.records(visit.principal, [found.listed])
        if line is None:
            raise NotFound("The conversation was erased meanwhile.")
        headers["Content-Disposition"] = 'attachment; filename="conversation.jsonl"'
        return Response(line + b"\n", headers=headers, media_type="application/x-ndjson")
    body = await asyncio.to_thread(lambda: encode(hiding.detail_of(found, viewer(visit))))
    headers["Content-Disposition"] = 'attachment; filename="conversation.json"'
    return Response(body, headers=headers, media_type="application/json")


def _layers(visit: Visit) -> tuple[str, ...]:
    """By the address, else as they were left the last time."""
    asked = visit.request.query_params.getlist("layers")
    if not asked and "vivavoce_layers" in visit.cookies:
        asked = visit.cookies["vivavoce_layers"].replace("%20", " ").split()
        return tuple(name for name in LAYERS if name in asked)
    return tuple(name for name in LAYERS if name in asked) or DEFAULT_LAYERS


_page = partial(Page, permission="read")
_change = partial(Page, method="POST", permission="write")
PAGES = (
    _page(method="GET", path=PATH, handler=show),
    _page(method="GET", path=f"{PATH}/turns", handler=turns),
    _page(method="GET", path=f"{PATH}/turns/{{turnIndex}}/prompt", handler=prompt),
    _page(method="GET", path=f"{PATH}/turns/{{turnIndex}}/audio", handler=turn_audio),
    _page(method="GET", path=f"{PATH}/audio", handler=audio),
    _page(method="GET", path=f"{PATH}/peaks", handler=peaks),
    _page(method="GET", path=f"{PATH}/export", handler=export),
    _change(path=f"{PATH}/annotations", handler=annotate),
    _change(path=f"{PATH}/annotations/remove", handler=remove_annotation),
    _change(path=f"{PATH}/hide", handler=hide),
    _change(path=f"{PATH}/note", handler=note),
    _change(path=f"{PATH}/tags", handler=tags),
    Page(method="POST", path=f"{PATH}/erase", handler=erase, permission="admin"),
)
