"""One conversation under review: transcript, sound, diagnosis, and what a reviewer says and does about it."""

from __future__ import annotations

import secrets
from functools import partial

import msgspec
from starlette.responses import Response, StreamingResponse

from vivavoce.audio import wav
from vivavoce.console import page
from vivavoce.console.turns import MARKS, PATH, REASONS, address, read, rendered, values
from vivavoce.console.visit import Page, Visit, number
from vivavoce.errors import Invalid, NotFound
from vivavoce.service import hiding
from vivavoce.service.conversations import Mark
from vivavoce.service.recordings import Direction, Sound
from vivavoce.service.redaction import sees_personal
from vivavoce.service.turn_audio import File
from vivavoce.wire.chat import encode
from vivavoce.wire.ranges import part_of

WINDOW = 40  # turns on one page
BEFORE = 10  # turns that are shown before the one that was asked for
# Layers of the diagnosis, as they can be switched on and off.
LAYERS = {
    "variables": "Variables", "flows": "Flows and steps", "calls": "Function calls", "topics": "Topics", "sources": "Sources",
    "corrections": "Corrections", "latency": "Latency", "interruptions": "Interruptions", "variants": "Variants", "logs": "Logs",
    "entities": "Entities", "requests": "Model requests",
}  # fmt: skip
DEFAULT_LAYERS = ("flows", "calls", "topics", "interruptions", "corrections")
FORMATS = ("json", "jsonl")


def names(visit: Visit) -> tuple[str, str]:
    return visit.agent_id, visit.path("conversationId")


async def show(visit: Visit) -> Response:
    given = visit.request.query_params
    turn = number("turn", given["turn"]) if given.get("turn") else None
    first = number("from", given["from"]) if given.get("from") else max(0, (turn or 0) - BEFORE)
    found, body = await read(visit, visit.path("conversationId"), first, limit=WINDOW)
    conversation = found.conversation
    return await page.show(
        visit,
        "review.html",
        "conversations",
        agent_id=visit.agent_id,
        c=body,
        **await values(visit, found),
        first=first,
        window=WINDOW,
        turn=turn,
        total=conversation.turns,
        last=first + len(found.turns),
        state=await hiding.apart(hiding.state_of, found, visit.principal),
        layers=LAYERS,
        shown_layers=_layers(visit),
        is_late=False,
        has_sound=conversation.is_recorded and conversation.is_ended,
        reasons=REASONS,
        nonce=secrets.token_urlsafe(12),
    )


async def turns(visit: Visit) -> Response:
    """Further turns, for a page that is there already: more of a long conversation, or what was said since."""
    first = number("from", visit.request.query_params.get("from", "0"))
    head = await visit.services.conversations.head(visit.principal, *names(visit))
    if head.turns <= first and not head.is_ended:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    found, body = await read(visit, visit.path("conversationId"), first, limit=WINDOW)
    return page.render(
        visit,
        "review_turns.html",
        c=body,
        **await values(visit, found),
        total=found.conversation.turns,
        last=first + len(found.turns),
        is_late=visit.request.query_params.get("live") == "1",
    )


async def prompt(visit: Visit) -> Response:
    """What models were asked in one turn, part by part, and what they answered."""
    index = number("turn", visit.path("turnIndex"))
    found, body = await read(visit, visit.path("conversationId"), index, limit=1, has_requests=True)
    if not body["turns"]:
        raise NotFound("The conversation has no such turn.")
    requests = msgspec.json.decode(msgspec.json.encode(body["turns"][0]["llm_requests"]))
    shown = {"requests": requests, "index": index, **await values(visit, found)}
    if visit.is_fragment:
        return page.render(visit, "prompt_part.html", **shown)
    return await page.show(visit, "prompt.html", "conversations", agent_id=visit.agent_id, **shown)


# What a reviewer says.


async def annotate(visit: Visit) -> Response:
    kind = next((kind for kind in MARKS if kind == visit.field("type")), None)
    if kind is None:
        raise Invalid("Choose what is said of the turn.")
    index = number("turn", visit.field("turn"))
    reasons = tuple(r for r in REASONS if r in visit.form.get("reasons", ())) if kind == "bad_response" else ()
    mark = Mark(turn=index, role=MARKS[kind][1], type=kind, reasons=reasons, text=visit.field("text").strip())
    await visit.services.conversations.annotate(visit.principal, *names(visit), [mark], author=visit.principal.name)
    return await _turn_again(visit, index)


async def remove_annotation(visit: Visit) -> Response:
    await visit.services.conversations.remove_annotation(visit.principal, *names(visit), visit.field("id"))
    return await _turn_again(visit, number("turn", visit.field("turn")))


async def hide(visit: Visit) -> Response:
    index = number("turn", visit.field("turn"))
    await visit.services.hand_redaction.hide(visit.principal, *names(visit), index, visit.field("words"))
    return await _turn_again(visit, index)


async def show_again(visit: Visit) -> Response:
    index = number("turn", visit.field("turn"))
    await visit.services.hand_redaction.show_again(visit.principal, *names(visit), index)
    return await _turn_again(visit, index)


async def _turn_again(visit: Visit, index: int) -> Response:
    if not visit.may("read"):  # it was done; what became of it is not for this key
        return Response(status_code=204)
    if not visit.is_fragment:
        return page.redirect(f"{address(*names(visit))}?turn={index}#turn-{index}")
    return page.html(await rendered(visit, visit.path("conversationId"), index))


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
    if not visit.may("read"):
        return Response(status_code=204)
    if not visit.is_fragment:
        return page.redirect(address(*names(visit)))
    _, body = await read(visit, visit.path("conversationId"), 0, limit=0)
    return page.render(visit, "review_said.html", c=body, here=address(*names(visit)), is_saved=True)


async def erase(visit: Visit) -> Response:
    receipt = await visit.services.erasure.conversation(visit.principal, *names(visit))
    return await page.show(visit, "erased.html", "conversations", agent_id=visit.agent_id, receipt=receipt)


# Files.


async def audio(visit: Visit) -> Response:
    return _file(visit, await _recording(visit))


async def turn_audio(visit: Visit) -> Response:
    index = number("turn", visit.path("turnIndex"))
    side: Direction | None = {"user": "user", "agent": "agent"}.get(visit.request.query_params.get("direction", ""))  # type: ignore[assignment]  # its own values
    sound = await visit.services.turn_audio.sound(
        visit.principal,
        *names(visit),
        index,
        direction=side,
        is_redacted=not sees_personal(visit.principal),
    )
    return _file(visit, sound)


def _file(visit: Visit, sound: Sound | File) -> Response:
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
        is_redacted=not sees_personal(visit.principal),
        is_mono=False,
    )


async def peaks(visit: Visit) -> Response:
    """The outline of a recording, caller and agent, so that no browser has to read all of it to draw it."""
    found, seconds = await visit.services.outlines.of(await _recording(visit))
    headers = {"Cache-Control": "private, no-store", **page.HEADERS}
    return Response(encode({"peaks": found, "seconds": seconds}), headers=headers, media_type="application/json")


async def export(visit: Visit) -> Response:
    """The conversation as the API gives it; or, for who may see all, the whole record, which can be taken in again."""
    agent_id, id = names(visit)
    kind = visit.request.query_params.get("format", FORMATS[0])
    if kind not in FORMATS:
        raise Invalid(f"format is {kind[:20]!r}; it should be one of {', '.join(FORMATS)}.")
    if kind == "jsonl":
        media_type = "application/x-ndjson"
        body = await visit.services.exports.record(visit.principal, agent_id, id) + b"\n"
    else:
        media_type = "application/json"
        found = await visit.services.conversations.get(visit.principal, agent_id, id)
        body = await hiding.apart(lambda: encode(hiding.detail_of(found, visit.principal)))
    headers = {"Cache-Control": "no-store", **page.HEADERS}
    headers["Content-Disposition"] = f'attachment; filename="conversation.{kind}"'
    return Response(body, headers=headers, media_type=media_type)


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
    _change(path=f"{PATH}/show", handler=show_again),
    _change(path=f"{PATH}/note", handler=note),
    _change(path=f"{PATH}/tags", handler=tags),
    Page(method="POST", path=f"{PATH}/erase", handler=erase, permission="admin"),
)
