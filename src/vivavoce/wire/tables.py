"""Conversations as tables for people and their tools: CSV for spreadsheets, Parquet with types and transcripts for everything else."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from vivavoce.errors import Invalid

COLUMNS = (
    "conversationId", "startedAt", "finishedAt", "channel", "clientEnv", "direction", "fromNumber", "toNumber", "language", "variantId",
    "deploymentId", "duration", "inProgress", "endReason", "handoff", "handoffDestination", "handoffReason", "polyScore", "tags",
    "summary", "note", "annotations",
)  # fmt: skip
ROW_GROUP = 2_000  # conversations; what is in memory at once
Row = dict[str, Any]  # a value for each column, and "turns"


class ParquetUnavailable(Invalid):
    code = "PARQUET_UNAVAILABLE"


async def csv_bytes(blocks: AsyncIterator[Sequence[Row]]) -> AsyncIterator[bytes]:
    is_first = True
    async for rows in blocks:
        text = io.StringIO()
        writer = csv.writer(text)
        if is_first:
            writer.writerow(COLUMNS)
            is_first = False
        for row in rows:
            flat = {
                **row,
                "tags": "; ".join(row["tags"]),
                "annotations": "; ".join(
                    " ".join((str(m["turn"]), m["role"], m["type"], *m["reasons"], m["text"])).strip()
                    for m in row["annotations"]
                ),
            }
            writer.writerow([_cell(flat[column]) for column in COLUMNS])
        yield text.getvalue().encode()


def _cell(value: Any) -> str:
    """As text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


class _Sink(io.RawIOBase):
    """Collects what a writer writes, so that it can be sent on."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        found, self._parts = b"".join(self._parts), []
        return found


def check_parquet() -> None:
    """Raises ParquetUnavailable, with the remedy, where the extra is missing."""
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415  # an extra of 160 MB
    except ImportError as error:
        raise ParquetUnavailable(
            "format parquet needs pyarrow, which is not installed; pip install 'vivavoce[parquet]', or take csv."
        ) from error


async def parquet_bytes(blocks: AsyncIterator[Sequence[Row]]) -> AsyncIterator[bytes]:
    """One file; a row group is in memory at a time."""
    check_parquet()
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    schema = _schema(pa)
    sink = _Sink()
    writer = parquet.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd")
    waiting: list[Row] = []
    async for rows in blocks:
        waiting += [
            {**row, "startedAt": _moment(row["startedAt"]), "finishedAt": _moment(row["finishedAt"])} for row in rows
        ]
        if len(waiting) >= ROW_GROUP:
            writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
            waiting = []
        yield sink.taken()
    if waiting:
        writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
    writer.close()
    yield sink.taken()


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


def _schema(pa: Any) -> Any:
    text, time = pa.string(), pa.timestamp("us", tz="UTC")
    kinds = {
        "startedAt": time, "finishedAt": time, "duration": pa.int64(), "inProgress": pa.bool_(), "handoff": pa.bool_(),
        "polyScore": pa.float64(), "tags": pa.list_(text),
        "annotations": pa.list_(pa.struct({"turn": pa.int32(), "role": text, "type": text, "reasons": pa.list_(text), "text": text, "author": text})),
    }  # fmt: skip
    turn = pa.struct({"user_input": text, "agent_response": text, "started_at": text, "finished_at": text})
    return pa.schema([(column, kinds.get(column, text)) for column in COLUMNS] + [("turns", pa.list_(turn))])
