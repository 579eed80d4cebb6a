"""Export and import over HTTP: records, tables and vCons as they are made, each export signed."""

from __future__ import annotations

from vivavoce.api.route import Answer, Call, Route
from vivavoce.service import exporting
from vivavoce.service.exports import Imported
from vivavoce.service.redaction import sees_personal
from vivavoce.wire.chat import encode
from vivavoce.wire.exports import ExportSignatureResponse, ImportBody, ImportResponse, signature_response
from vivavoce.wire.filters import AGENT_FILTERS, FilterInvalid, criteria_of
from vivavoce.wire.query import Query

MAX_IMPORT_BYTES = 64 << 20
EXPORT_HEADER = "X-Vivavoce-Export"


async def export(call: Call) -> Answer:
    criteria = criteria_of(call.query, is_redacted=not sees_personal(call.principal))
    id, stream = await exporting.begun(
        call.services.exports,
        call.services.finders,
        call.principal,
        call.request.path_params["agentId"],
        call.query["format"],
        criteria,
        id=call.query["exportId"],
    )
    return Answer(stream=stream, media_type=exporting.MEDIA_TYPES[call.query["format"]], headers={EXPORT_HEADER: id})


async def get_signature(call: Call) -> Answer:
    parameters = call.request.path_params
    found = await call.services.exports.signature(call.principal, parameters["agentId"], parameters["exportId"])
    return Answer(body=encode(signature_response(found)))


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
        summary="Conversations as whole records (jsonl), signed vCons (vcon) or a table (csv, parquet), streamed.",
        permission="read",
        query=(
            Query(
                name="format",
                type="string",
                default="jsonl",
                choices=("jsonl", "csv", "parquet", "vcon"),
                description="Records or vCons, one a line; or a table.",
            ),
            Query(name="exportId", type="string", description="Under which its signature can be asked for afterwards."),
            *AGENT_FILTERS,
        ),
        query_error=FilterInvalid,
        media_type="application/x-ndjson",
        other_media_types=("text/csv", "application/vnd.apache.parquet"),
        errors=(400, 401, 403, 404, 409, 429),
    ),
    Route(
        method="GET",
        path="/v1/agents/{agentId}/exports/{exportId}",
        handler=get_signature,
        summary="The signature of an export that was sent to its end, for 30 days.",
        permission="read",
        response=ExportSignatureResponse,
        errors=(401, 403, 404),
    ),
    Route(
        method="POST",
        path="/v1/agents/{agentId}/import",
        handler=take_in,
        summary="Take in records of an export, or vCons; what is there already is left as it is.",
        permission="admin",
        request=ImportBody,
        response=ImportResponse,
        max_body=MAX_IMPORT_BYTES,
        errors=(400, 401, 403, 404, 413),
    ),
)
