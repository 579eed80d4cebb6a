"""The audio cache over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from vivavoce.api.route import Answer, Call, Route
from vivavoce.audio import wav
from vivavoce.errors import NOT_JSON, Invalid
from vivavoce.service.audio_cache import MAX_BYTES, CacheEntryNotFound, Entry
from vivavoce.wire.audio_cache import (
    AudioCacheEntry,
    AudioCacheSettings,
    BulkDeleteAudioCacheRequest,
    BulkDeleteAudioCacheResponse,
    DeleteAudioCacheEntryResponse,
    ListAudioCacheResponse,
    SynthesizeAudioRequest,
    parameters_of,
)
from vivavoce.wire.chat import encode
from vivavoce.wire.query import Query

_PATH = "/v1/agents/{agentId}/audio-cache"
MOST_PARTS = 12  # boundaries of a form
_BODY = MAX_BYTES + (1 << 16)
_decode_settings = msgspec.json.Decoder(AudioCacheSettings).decode


async def list_entries(call: Call) -> Answer:
    found, total = await call.services.audio_cache.entries(
        call.principal,
        call.request.path_params["agentId"],
        limit=call.query["limit"],
        offset=call.query["offset"],
        sort=call.query["sort"] or "",
    )
    return Answer(
        body=encode(
            ListAudioCacheResponse(entries=[_entry(entry) for entry in found], totalCount=total, total_count=total)
        )
    )


async def get_file(call: Call) -> Answer:
    file = await call.services.audio_cache.file(call.principal, *_names(call))
    return Answer(body=file, media_type=wav.MEDIA_TYPE)


async def put_file(call: Call) -> Answer:
    if not call.raw:
        raise Invalid("The body is empty; send a WAV file.")
    filename = call.request.headers.get("x-filename")
    await call.services.audio_cache.replace_file(call.principal, *_names(call), call.raw, filename)
    return Answer(status=204)


async def put_details(call: Call) -> Answer:
    parts = await asyncio.to_thread(_parts, call.raw, call.request.headers.get("content-type", ""))
    if "file" not in parts or "settings" not in parts:
        raise Invalid("The form should have a part `file`, which is a WAV file, and a part `settings`, which is JSON.")
    try:
        settings = _decode_settings(parts["settings"])
    except NOT_JSON as error:
        raise Invalid(f"settings is not as it should be: {error}.") from error
    parameters = parameters_of(settings.config) if settings.config is not None else None
    await call.services.audio_cache.replace_details(
        call.principal, *_names(call), parts["file"], settings.text, parameters
    )
    return Answer(status=204)


async def synthesize(call: Call) -> Answer:
    body: SynthesizeAudioRequest = call.body
    file = await call.services.audio_cache.synthesize(
        call.principal, *_names(call), body.text, parameters_of(body.config), body.language
    )
    return Answer(body=file, media_type=wav.MEDIA_TYPE)


async def remove(call: Call) -> Answer:
    agent_id, id_ = _names(call)
    removed, _ = await call.services.audio_cache.remove(call.principal, agent_id, [id_])
    if not removed:
        raise CacheEntryNotFound
    return Answer(body=encode(DeleteAudioCacheEntryResponse(success=True)))


async def remove_many(call: Call) -> Answer:
    body: BulkDeleteAudioCacheRequest = call.body
    deleted, failed = await call.services.audio_cache.remove(
        call.principal, call.request.path_params["agentId"], body.ids
    )
    return Answer(body=encode(BulkDeleteAudioCacheResponse(deleted=deleted, failed=failed)))


def _names(call: Call) -> tuple[str, str]:
    parameters = call.request.path_params
    return parameters["agentId"], parameters["entryId"]


def _entry(entry: Entry) -> AudioCacheEntry:
    return AudioCacheEntry(
        id=entry.id,
        transcript=entry.transcript,
        cachedAt=entry.cached_at,
        cached_at=entry.cached_at,
        hitCount=entry.hits,
        hit_count=entry.hits,
        duration=entry.duration,
        regenerated=entry.is_regenerated,
        provider=entry.provider,
        providerVoiceId=entry.voice_id,
        provider_voice_id=entry.voice_id,
        audioFilename=entry.filename,
        audio_filename=entry.filename,
        imported=entry.is_imported,
        languageCode=entry.language,
        language_code=entry.language,
    )


def _parts(body: bytes, content_type: str) -> dict[str, bytes]:
    """The parts of a form by name; of several of one name, the first."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise Invalid("The body should be multipart/form-data.")
    found: dict[str, bytes] = {}
    if body.count(b"--" + boundary) > MOST_PARTS:
        raise Invalid("The form has more parts than `file` and `settings`.")

    def keep(name: bytes | None, content: bytes) -> None:
        found.setdefault((name or b"").decode("utf-8", "replace"), content)

    def on_file(part: Any) -> None:
        part.file_object.seek(0)
        keep(part.field_name, part.file_object.read())
        part.close()

    try:
        parser = FormParser(
            "multipart/form-data",
            on_field=lambda part: keep(part.field_name, part.value or b""),
            on_file=on_file,
            boundary=boundary,
            config={"MAX_MEMORY_FILE_SIZE": _BODY},
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Invalid("The form cannot be read; is its boundary right?") from error
    return found


_ERRORS = (400, 401, 403, 404)
ROUTES = (
    Route(
        method="GET",
        path=_PATH,
        handler=list_entries,
        summary="What the agent says again and again, kept as sound.",
        permission="read",
        query=(
            Query(name="limit", type="integer", default=50, minimum=1, maximum=200, description="At most so many."),
            Query(name="offset", type="integer", default=0, minimum=0, description="So many are left out first."),
            Query(
                name="sort",
                type="string",
                description="hit_count, cached_at, duration or transcript, with :asc or :desc; cached_at:desc by default.",
            ),
        ),
        response=ListAudioCacheResponse,
        errors=_ERRORS,
    ),
    Route(
        method="POST",
        path=f"{_PATH}/bulk-delete",
        handler=remove_many,
        summary="Remove up to 20 entries.",
        permission="write",
        request=BulkDeleteAudioCacheRequest,
        response=BulkDeleteAudioCacheResponse,
        errors=(*_ERRORS, 413),
    ),
    Route(
        method="DELETE",
        path=f"{_PATH}/{{entryId}}",
        handler=remove,
        summary="Remove an entry; it is made again when it is needed.",
        permission="write",
        response=DeleteAudioCacheEntryResponse,
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path=f"{_PATH}/{{entryId}}/file",
        handler=get_file,
        summary="The sound of an entry.",
        permission="read",
        media_type=wav.MEDIA_TYPE,
        errors=(*_ERRORS, 503),
    ),
    Route(
        method="PATCH",
        path=f"{_PATH}/{{entryId}}/file",
        handler=put_file,
        summary="Put a recording of your own in its place: a WAV file of up to 6 MB, named by X-Filename.",
        permission="write",
        takes_any_body=True,
        body_media_type=wav.MEDIA_TYPE,
        headers=("X-Filename",),
        max_body=_BODY,
        status=204,
        errors=(*_ERRORS, 413, 503),
    ),
    Route(
        method="PUT",
        path=f"{_PATH}/{{entryId}}/details",
        handler=put_details,
        summary="Put sound that was made again, with its words and tuning: a form of `file` and `settings`.",
        permission="write",
        takes_any_body=True,
        body_media_type="multipart/form-data",
        form=("file", "settings"),
        max_body=_BODY,
        status=204,
        errors=(*_ERRORS, 413, 503),
    ),
    Route(
        method="POST",
        path=f"{_PATH}/{{entryId}}/synthesize",
        handler=synthesize,
        summary="Hear an entry with other words or another tuning; nothing is kept.",
        permission="write",
        request=SynthesizeAudioRequest,
        media_type=wav.MEDIA_TYPE,
        errors=(*_ERRORS, 413, 503),
    ),
)
