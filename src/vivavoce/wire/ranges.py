"""Files over HTTP: whole or in parts, and not again for who has them (RFC 9110, 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from vivavoce.errors import VivavoceError

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeUnsatisfiable(VivavoceError):
    code = "RANGE_NOT_SATISFIABLE"
    status = 416


class Part(Struct, frozen=True, kw_only=True):
    """What of a file to send; `length` 0 is nothing of it."""

    status: int
    headers: dict[str, str]
    start: int = 0
    length: int = 0


def part_of(method: str, asked: Mapping[str, str], *, size: int, etag: str) -> Part:
    """`asked` are the request's headers. A range of several parts is answered with the whole."""
    quoted = f'"{etag}"'
    headers = {"ETag": quoted, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if _names(asked.get("if-none-match", ""), quoted):
        return Part(status=304, headers=headers)
    start, end, status = 0, size, 200
    is_current = asked.get("if-range", quoted) == quoted
    match = _RANGE.fullmatch(asked.get("range", "").replace(" ", ""))
    if match and is_current and (match[1] or match[2]):
        start, end = _limits(match[1], match[2], size)
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    return Part(status=status, headers=headers, start=start, length=0 if method == "HEAD" else end - start)


def _limits(first: str, last: str, size: int) -> tuple[int, int]:
    if first:
        start, end = int(first), min(size, int(last) + 1 if last else size)
    else:
        start, end = max(0, size - int(last)), size
    if not 0 <= start < end:
        raise RangeUnsatisfiable(f"The file has {size:,} bytes; the range asks for others.")
    return start, end


def _names(header: str, etag: str) -> bool:
    return any(name.strip().removeprefix("W/") in (etag, "*") for name in header.split(",")) if header else False
