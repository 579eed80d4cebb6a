"""Export and import over HTTP: records, tables and vCons as they are made, each export signed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from vivavoce.api import hiding, tables
from vivavoce.api.filters import AGENT_FILTERS, FilterInvalid, criteria_of
from vivavoce.api.route import Answer, Call, Query, Route
from vivavoce.domain.record import Criteria, ExportFormat, Listed, Transcript
from vivavoce.redaction.finder import Finder
from vivavoce.service.exports import Imported
from vivavoce.service.redaction import sees_personal
from vivavoce.wire import vcon
from vivavoce.wire.chat import encode
from vivavoce.wire.exports import ExportSignatureResponse, ImportBody, ImportResponse, signature_response

MAX_IMPORT_BYTES = 64 << 20
T = TypeVar("T")
_POOL = ThreadPoolExecutor(1, thread_name_prefix="export")
EXPORT_HEADER = "X-Vivavoce-Export"
MEDIA_TYPES: dict[ExportFormat, str] = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "vcon": "application/x-ndjson",
}


async def export(call: Call) -> Answer:
    agent_id, kind, criteria = call.request.path_params["agentId"], call.query["format"], criteria_of(call)
    id = await call.services.exports.begin(call.principal, agent_id, call.query["exportId"])
    finder = await call.services.finders.of(call.principal, agent_id)
    stream = _Signed(call, id, agent_id, kind, criteria, finder)
    parts = stream.parts()
    first = await anext(parts)  # what is refused is refused before anything is sent
    return Answer(stream=_after(first, parts), media_type=MEDIA_TYPES[kind], headers={EXPORT_HEADER: id})


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


class _Signed:
    """An export on its way out: what passes is counted and hashed, and at the end signed."""

    def __init__(
        self, call: Call, id: str, agent_id: str, kind: ExportFormat, criteria: Criteria, finder: Finder
    ) -> None:
        self._finder = finder
        self._call, self._id, self._agent_id, self._kind, self._criteria = call, id, agent_id, kind, criteria
        self._count = 0

    async def parts(self) -> AsyncIterator[bytes]:
        with self._call.services.exports.counted(self._call.principal):
            async for part in self._all():
                yield part

    async def _all(self) -> AsyncIterator[bytes]:
        digest = hashlib.sha256()
        async for part in self._encoded():
            if part:
                digest.update(part)
                yield part
        signature = await self._call.services.exports.sign(
            self._call.principal,
            self._agent_id,
            self._id,
            self._kind,
            digest=digest.digest(),
            conversations=self._count,
        )
        yield encode({"signature": signature}) + b"\n" if self._kind == "jsonl" else b""

    def _encoded(self) -> AsyncIterator[bytes]:
        asked = (self._call.principal, self._agent_id, self._criteria)
        exports = self._call.services.exports
        match self._kind:
            case "jsonl":
                return self._counted(exports.lines(*asked))
            case "vcon":
                return self._vcons(exports.transcribed(*asked, "vcon"))
            case "parquet":
                tables.check_parquet()
                return tables.parquet_bytes(self._rows(exports.transcribed(*asked, "parquet")))
            case _:
                return tables.csv_bytes(self._bare_rows(exports.listed(*asked, "csv")))

    async def _counted(self, blocks: AsyncIterator[tuple[int, bytes]]) -> AsyncIterator[bytes]:
        async for count, lines in blocks:
            self._count += count
            yield lines

    async def _bare_rows(self, blocks: AsyncIterator[Sequence[Listed]]) -> AsyncIterator[Sequence[tables.Row]]:
        async for items in blocks:
            self._count += len(items)
            yield [self._row(item) for item in items]

    async def _rows(
        self, blocks: AsyncIterator[Sequence[tuple[Listed, Transcript]]]
    ) -> AsyncIterator[Sequence[tables.Row]]:
        async for items in blocks:
            self._count += len(items)
            yield await _apart(self._table, items)

    def _table(self, items: Sequence[tuple[Listed, Transcript]]) -> Sequence[tables.Row]:
        return [self._row(item, said) for item, said in items]

    def _row(self, item: Listed, said: Transcript | None = None) -> tables.Row:
        """A row as whoever asks may see it."""
        row = hiding.summary_of(item, self._call.principal, self._finder)
        marks = hiding.annotations_of(item.review.annotations, self._call.principal)
        row["summary"] = (row["shortSummary"] or {}).get("content", "")
        row["annotations"] = [
            {
                "turn": m.turn,
                "role": m.role,
                "type": m.type,
                "reasons": list(m.reasons),
                "text": m.text,
                "author": m.author,
            }
            for m in marks
        ]
        if said is not None:
            row["turns"] = [
                {
                    "user_input": turn["user_input"],
                    "agent_response": turn["agent_response"],
                    "started_at": turn["user_input_datetime"],
                    "finished_at": turn["agent_response_datetime"],
                }
                for turn in hiding.transcript_of(item, said, self._call.principal, self._finder, has_latency=False)[
                    "turns"
                ]
            ]
        return row

    async def _vcons(self, blocks: AsyncIterator[Sequence[tuple[Listed, Transcript]]]) -> AsyncIterator[bytes]:
        exports, principal = self._call.services.exports, self._call.principal
        async for items in blocks:
            for item, said in items:
                record = None
                if sees_personal(principal):
                    (record,) = await exports.records(principal, [item])
                    if record is None:
                        continue  # erased meanwhile
                self._count += 1
                body = await _apart(self._vcon, item, said, record)
                yield encode(exports.vcon(encode(body), body["uuid"])) + b"\n"

    def _vcon(self, item: Listed, said: Transcript, record: bytes | None) -> dict[str, Any]:
        principal = self._call.principal
        turns = hiding.transcript_of(item, said, principal, self._finder, has_latency=False)["turns"]
        return vcon.vcon(hiding.summary_of(item, principal, self._finder), turns, record)


async def _apart(work: Callable[..., T], *given: Any) -> T:
    """In a thread of the exports' own: however many there are, whoever reads one conversation does not wait for them."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, work, *given)


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
