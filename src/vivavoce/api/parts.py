"""Files over HTTP: whole or in parts, and not again for who has them (RFC 9110, 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request

from vivavoce.api.route import Answer
from vivavoce.errors import VivavoceError

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeUnsatisfiable(VivavoceError):
    code = "RANGE_NOT_SATISFIABLE"
    status = 416


async def answer(
    request: Request,
    size: int,
    etag: str,
    read: Callable[[int, int], AsyncIterator[bytes]],
    *,
    media_type: str,
) -> Answer:
    """`read` is given where to begin and how many bytes. A range of several parts is answered with the whole."""
    quoted = f'"{etag}"'
    headers = {"ETag": quoted, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if _names(request.headers.get("if-none-match", ""), quoted):
        return Answer(status=304, headers=headers, media_type=media_type)
    start, end, status = 0, size, 200
    wanted = request.headers.get("range", "")
    is_current = request.headers.get("if-range", quoted) == quoted
    if (match := _RANGE.fullmatch(wanted.replace(" ", ""))) and is_current and (match[1] or match[2]):
        start, end = _limits(match[1], match[2], size)
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Answer(status=status, headers=headers, media_type=media_type)
    return Answer(status=status, stream=read(start, end - start), headers=headers, media_type=media_type)


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
