"""Export and import over HTTP: lines and tables as they are made."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

from vivavoce.api import hiding
from vivavoce.api.lists import AGENT_FILTERS, FilterInvalid, criteria_of
from vivavoce.api.route import Answer, Call, Query, Route
from vivavoce.domain.record import Criteria
from vivavoce.service.exports import Imported
from vivavoce.wire.chat import encode
from vivavoce.wire.exports import ImportBody, ImportResponse

MAX_IMPORT_BYTES = 64 << 20
COLUMNS = (
    "conversationId", "startedAt", "finishedAt", "channel", "clientEnv", "direction", "fromNumber", "toNumber", "language", "variantId",
    "deploymentId", "duration", "inProgress", "endReason", "handoff", "handoffDestination", "handoffReason", "polyScore", "tags",
    "summary", "note", "annotations",
)  # fmt: skip


async def export(call: Call) -> Answer:
    agent_id = call.request.path_params["agentId"]
    criteria = criteria_of(call)
    if call.query["format"] == "csv":
        stream, media_type = _table(call, agent_id, criteria), "text/csv; charset=utf-8"
    else:
        stream = call.services.exports.lines(call.principal, agent_id, criteria)
        media_type = "application/x-ndjson"
    first = await anext(stream)  # what is refused is refused before anything is sent
    return Answer(stream=_after(first, stream), media_type=media_type)


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


async def _table(call: Call, agent_id: str, criteria: Criteria) -> AsyncIterator[bytes]:
    is_first = True
    async for items in call.services.exports.listed(call.principal, agent_id, criteria):
        text = io.StringIO()
        writer = csv.writer(text)
        if is_first:
            writer.writerow(COLUMNS)
            is_first = False
        for item in items:
            body = hiding.summary_of(item, call.principal)
            marks = hiding.annotations_of(item.review.annotations, call.principal)
            body["tags"] = " ".join(body["tags"])
            body["summary"] = (body["shortSummary"] or {}).get("content", "")
            body["annotations"] = "; ".join(f"{m.turn} {m.role} {m.type} {m.text}".strip() for m in marks)
            writer.writerow([_cell(body[column]) for column in COLUMNS])
        yield text.getvalue().encode()


def _cell(value: Any) -> str:
    """As text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


async def take_in(call: Call) -> Answer:
    body: ImportBody = call.body
    done: Imported = await call.services.exports.take_in(
        call.principal, call.request.path_params["agentId"], body.records
    )
    return Answer(body=encode(ImportResponse(imported=done.imported, skipped=done.skipped)))


ROUTES = (
    Route(
        method="GET",
        path="/v1/agents/{agentId}/export",
        handler=export,
        summary="Whole records as signed lines (jsonl), or a table of conversations (csv), streamed.",
        permission="read",
        query=(
            Query(
                name="format", type="string", default="jsonl", choices=("jsonl", "csv"), description="Lines or a table."
            ),
            *AGENT_FILTERS,
        ),
        query_error=FilterInvalid,
        media_type="application/x-ndjson",
        other_media_types=("text/csv",),
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="POST",
        path="/v1/agents/{agentId}/import",
        handler=take_in,
        summary="Take in records that an export gave; what is there already is left as it is.",
        permission="admin",
        request=ImportBody,
        response=ImportResponse,
        max_body=MAX_IMPORT_BYTES,
        errors=(400, 401, 403, 404, 413),
    ),
)
