"""An export on its way out: conversations as whole records, tables or vCons, counted, hashed and at the end signed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria, ExportFormat, Listed, Transcript
from vivavoce.redaction.finder import Finder
from vivavoce.service import hiding
from vivavoce.service.exports import Exports
from vivavoce.service.finders import Finders
from vivavoce.service.redaction import sees_personal
from vivavoce.wire import tables, vcon
from vivavoce.wire.chat import encode

T = TypeVar("T")
_POOL = ThreadPoolExecutor(1, thread_name_prefix="export")
MEDIA_TYPES: dict[ExportFormat, str] = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "vcon": "application/x-ndjson",
}


async def begun(
    exports: Exports,
    finders: Finders,
    principal: Principal,
    agent_id: str,
    kind: ExportFormat,
    criteria: Criteria,
    *,
    id: str | None = None,
) -> tuple[str, AsyncIterator[bytes]]:
    """(the id under which its signature can be asked for, its bytes). What is refused is refused before the first of them."""
    id = await exports.begin(principal, agent_id, id)
    parts = _Signed(exports, principal, id, agent_id, kind, criteria, await finders.of(principal, agent_id)).parts()
    return id, _after(await anext(parts), parts)


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


class _Signed:
    """An export on its way out: what passes is counted and hashed, and at the end signed."""

    def __init__(
        self,
        exports: Exports,
        principal: Principal,
        id: str,
        agent_id: str,
        kind: ExportFormat,
        criteria: Criteria,
        finder: Finder,
    ) -> None:
        self._exports, self._principal, self._finder = exports, principal, finder
        self._id, self._agent_id, self._kind, self._criteria = id, agent_id, kind, criteria
        self._count = 0

    async def parts(self) -> AsyncIterator[bytes]:
        with self._exports.counted(self._principal):
            async for part in self._all():
                yield part

    async def _all(self) -> AsyncIterator[bytes]:
        digest = hashlib.sha256()
        async for part in self._encoded():
            if part:
                digest.update(part)
                yield part
        signature = await self._exports.sign(
            self._principal,
            self._agent_id,
            self._id,
            self._kind,
            digest=digest.digest(),
            conversations=self._count,
        )
        yield encode({"signature": signature}) + b"\n" if self._kind == "jsonl" else b""

    def _encoded(self) -> AsyncIterator[bytes]:
        asked = (self._principal, self._agent_id, self._criteria)
        exports = self._exports
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
        row = hiding.summary_of(item, self._principal, self._finder)
        marks = hiding.annotations_of(item.review.annotations, self._principal)
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
                for turn in hiding.transcript_of(item, said, self._principal, self._finder, has_latency=False)["turns"]
            ]
        return row

    async def _vcons(self, blocks: AsyncIterator[Sequence[tuple[Listed, Transcript]]]) -> AsyncIterator[bytes]:
        exports, principal = self._exports, self._principal
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
        principal = self._principal
        turns = hiding.transcript_of(item, said, principal, self._finder, has_latency=False)["turns"]
        return vcon.vcon(hiding.summary_of(item, principal, self._finder), turns, record)


async def _apart(work: Callable[..., T], *given: Any) -> T:
    """In a thread of the exports' own: however many there are, whoever reads one conversation does not wait for them."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, work, *given)
