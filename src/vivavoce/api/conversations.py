"""One conversation over HTTP: its record, its recording, and what reviewers say about it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from vivavoce.api.route import Answer, Call, Route
from vivavoce.audio import wav
from vivavoce.errors import Invalid
from vivavoce.service import hiding
from vivavoce.service.conversations import Mark
from vivavoce.service.recordings import Sound
from vivavoce.service.turn_audio import File
from vivavoce.wire.chat import encode
from vivavoce.wire.conversations import ConversationDetailResponse, annotation_item
from vivavoce.wire.query import Query
from vivavoce.wire.ranges import part_of
from vivavoce.wire.reviews import (
    AddAnnotationsBody,
    AddAnnotationsResponse,
    AnnotationsResponse,
    OperationSuccessResponse,
    TagsBody,
    UpsertNoteBody,
)

_PATH = "/v1/agents/{agentId}/conversations/{conversationId}"
MAX_AUTHOR_CHARACTERS = 200


async def get_conversation(call: Call) -> Answer:
    found = await call.services.conversations.get(call.principal, *_names(call))
    body = await hiding.apart(hiding.detail_of, found, call.principal)
    return Answer(body=encode(body))


async def audio(call: Call) -> Answer:
    """The whole file, or the part that is asked for: players ask for parts, and again for the same file."""
    sound = await call.services.conversations.recording(
        call.principal,
        *_names(call),
        direction=call.query["direction"],
        is_redacted=call.query["redacted"],
        is_mono=call.query["channels"] == 1,
    )
    return await _file(call, sound)


async def turn_audio(call: Call) -> Answer:
    index = call.request.path_params["turnIndex"]
    if not index.isdecimal() or len(index) > 6:
        raise Invalid(f"The turn is {index[:20]!r}; it should be a number, 0 for the greeting.")
    sound = await call.services.turn_audio.sound(
        call.principal,
        *_names(call),
        int(index),
        direction=call.query["direction"],
        is_redacted=call.query["redacted"],
    )
    return await _file(call, sound)


async def _file(call: Call, sound: Sound | File) -> Answer:
    part = part_of(call.request.method, call.request.headers, size=sound.size, etag=sound.etag)
    stream = await _begun(sound.read(part.start, part.length)) if part.length else None
    return Answer(status=part.status, headers=part.headers, stream=stream, media_type=wav.MEDIA_TYPE)


async def _begun(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The head of a file is made here, the sound comes from where it is kept: a store that is away is told before the answer
    has begun, since afterwards it could only be cut off."""
    first = []
    async for piece in stream:
        first.append(piece)
        if len(first) == 2:
            break

    async def going_on() -> AsyncIterator[bytes]:
        for piece in first:
            yield piece
        async for piece in stream:
            yield piece

    return going_on()


async def put_note(call: Call) -> Answer:
    body: UpsertNoteBody = call.body
    await call.services.conversations.put_note(call.principal, *_names(call), body.note, author=author(call))
    return Answer(status=201, body=encode(OperationSuccessResponse()))


async def put_tags(call: Call) -> Answer:
    body: TagsBody = call.body
    tags = await call.services.conversations.put_tags(call.principal, *_names(call), body.tags)
    return Answer(body=encode(TagsBody(tags=list(tags))))


async def annotate(call: Call) -> Answer:
    body: AddAnnotationsBody = call.body
    marks = [
        Mark(turn=item.turn_id, role=item.role, type=item.annotation_type, reasons=tuple(item.reasons), text=item.text)
        for item in body.annotations
    ]
    added = await call.services.conversations.annotate(call.principal, *_names(call), marks, author=author(call))
    return Answer(status=201, body=encode({"success": True, "annotations": [annotation_item(a) for a in added]}))


async def list_annotations(call: Call) -> Answer:
    found = await call.services.conversations.annotations(call.principal, *_names(call))
    return Answer(
        body=encode({"annotations": [annotation_item(a) for a in hiding.annotations_of(found, call.principal)]})
    )


async def remove_annotation(call: Call) -> Answer:
    await call.services.conversations.remove_annotation(
        call.principal, *_names(call), call.request.path_params["annotationId"]
    )
    return Answer(status=204)


def author(call: Call) -> str:
    """Who speaks: the person that the client names, else the key."""
    given = call.request.headers.get("x-polyai-email", "").strip()
    is_sound = given.isprintable() and len(given) <= MAX_AUTHOR_CHARACTERS
    return given if given and is_sound else call.principal.name


def _names(call: Call) -> tuple[str, str]:
    parameters = call.request.path_params
    return parameters["agentId"], parameters["conversationId"]


def _annotation_routes(path: str) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path=path,
            handler=annotate,
            summary="Mark what was said in turns as wrong, missing, good or bad.",
            permission="write",
            request=AddAnnotationsBody,
            response=AddAnnotationsResponse,
            status=201,
            errors=(400, 401, 403, 404, 413),
        ),
        Route(
            method="GET",
            path=path,
            handler=list_annotations,
            summary="The annotations of a conversation.",
            permission="read",
            response=AnnotationsResponse,
            errors=(401, 403, 404),
        ),
        Route(
            method="DELETE",
            path=path + "/{annotationId}",
            handler=remove_annotation,
            summary="Take an annotation back.",
            permission="write",
            status=204,
            errors=(401, 403, 404),
        ),
    )


ROUTES = (
    Route(
        method="GET",
        path=_PATH,
        handler=get_conversation,
        summary="One conversation with its turns, metrics and function events.",
        permission="read",
        response=ConversationDetailResponse,
        errors=(401, 403, 404),
    ),
    Route(
        method="GET",
        path=f"{_PATH}/audio",
        handler=audio,
        summary="The recording of a call.",
        permission="read",
        query=(
            Query(
                name="direction",
                type="string",
                default="combined",
                choices=("combined", "user", "agent"),
                description="Both sides, or one.",
            ),
            Query(name="redacted", type="boolean", default=False, description="With personal data muted."),
            Query(
                name="channels",
                type="integer",
                default=2,
                minimum=1,
                maximum=2,
                description="Of `combined`: 2 has the caller left and the agent right, 1 mixes them.",
            ),
        ),
        media_type=wav.MEDIA_TYPE,
        errors=(400, 401, 403, 404, 416, 503),
    ),
    Route(
        method="GET",
        path=f"{_PATH}/turns/{{turnIndex}}/audio",
        handler=turn_audio,
        summary="The sound of one turn: of a call as it was recorded, of a text conversation the reply, spoken.",
        permission="read",
        query=(
            Query(
                name="direction",
                type="string",
                choices=("combined", "user", "agent"),
                description="Both sides, or one; by default the caller's where it said something, else the agent's.",
            ),
            Query(name="redacted", type="boolean", default=False, description="With personal data muted."),
        ),
        media_type=wav.MEDIA_TYPE,
        errors=(400, 401, 403, 404, 416, 503),
    ),
    Route(
        method="POST",
        path=f"{_PATH}/note",
        handler=put_note,
        summary="Replace the conversation's note; an empty one takes it away.",
        permission="write",
        request=UpsertNoteBody,
        response=OperationSuccessResponse,
        status=201,
        errors=(400, 401, 403, 404, 413),
    ),
    Route(
        method="PUT",
        path=f"{_PATH}/tags",
        handler=put_tags,
        summary="Replace the conversation's tags.",
        permission="write",
        request=TagsBody,
        response=TagsBody,
        errors=(400, 401, 403, 404, 413),
    ),
    *_annotation_routes(f"{_PATH}/annotation"),
    *_annotation_routes(f"{_PATH}/annotations"),
)
