"""What is sent with a request, read no further than anybody takes it and no longer than anybody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from vivavoce.errors import PayloadTooLarge, RequestTimeout

SECONDS = 20.0


async def read(stream: AsyncIterator[bytes], *, most: int, declared: str = "") -> bytes:
    """`declared` is the length that the request names, by which one that is too long is refused at once."""
    if declared.isdigit() and int(declared) > most:
        raise PayloadTooLarge(f"The body is larger than {most >> 20} MiB.")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(SECONDS):
            async for part in stream:
                size += len(part)
                if size > most:
                    raise PayloadTooLarge(f"The body is larger than {most >> 20} MiB.")
                parts.append(part)
    except TimeoutError:
        raise RequestTimeout(f"The body did not arrive within {SECONDS:g} s.") from None
    return b"".join(parts)
