"""Recordings in an object store: a folder, S3, Google Cloud Storage or Azure, by the URL that names it."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from vivavoce.errors import UsageError
from vivavoce.recordings.interface import Name, RecordingsError

SUFFIX = ".wav"
PART_BYTES = 8 << 20  # a larger file goes up in parts of this size, several at a time
# Times of one request, a part or a range of a file. An endpoint in one's own network may be plain HTTP: its URL says so.
CLIENT = {"connect_timeout": "5s", "timeout": "60s", "allow_http": True}
# Then the store is away: what was to be stored waits on disk, and who listens is told.
RETRIES = {
    "max_retries": 3,
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2), "base": 2},
    "retry_timeout": timedelta(seconds=20),
}


class ObjectRecordings:
    def __init__(self, url: str) -> None:
        import obstore  # noqa: PLC0415  # loaded with the first recording's store, not with every command
        from obstore.exceptions import BaseError  # noqa: PLC0415
        from obstore.store import from_url  # noqa: PLC0415

        self._obstore: Any = obstore
        self._errors: tuple[type[Exception], ...] = (BaseError, OSError)
        try:
            if url.startswith("file://"):
                Path(url.removeprefix("file://")).mkdir(parents=True, exist_ok=True, mode=0o700)
            remote: dict[str, Any] = (
                {} if url.startswith("file://") else {"client_options": CLIENT, "retry_config": RETRIES}
            )
            self._store: Any = from_url(url, **remote)
        except (ValueError, *self._errors) as error:
            raise UsageError(
                f"VIVAVOCE_RECORDINGS cannot be used ({type(error).__name__}); it takes file:///PATH, s3://BUCKET/PREFIX, "
                "gs:// or az://."
            ) from error

    async def put(self, name: Name, file: Path | bytes) -> None:
        try:
            await self._obstore.put_async(self._store, path_of(name), file, chunk_size=PART_BYTES)
        except self._errors as error:
            raise RecordingsError(f"The recording could not be stored: {type(error).__name__}.") from error

    async def size(self, name: Name) -> int | None:
        try:
            found = await self._obstore.head_async(self._store, path_of(name))
        except FileNotFoundError:
            return None
        except self._errors as error:
            raise RecordingsError(f"The recording could not be looked for: {type(error).__name__}.") from error
        return int(found["size"])

    async def read(self, name: Name, start: int, length: int) -> bytes:
        if length <= 0:
            return b""
        try:
            found = await self._obstore.get_range_async(self._store, path_of(name), start=start, length=length)
        except FileNotFoundError as error:
            raise RecordingsError("The recording is gone.") from error
        except self._errors as error:
            raise RecordingsError(f"The recording could not be read: {type(error).__name__}.") from error
        return bytes(found)

    async def remove(self, name: Name) -> bool:
        try:
            if await self.size(name) is None:
                return False
            await self._obstore.delete_async(self._store, path_of(name))
        except FileNotFoundError:
            return False
        except self._errors as error:
            raise RecordingsError(f"The recording could not be removed: {type(error).__name__}.") from error
        return True


def path_of(name: Name) -> str:
    """Plain, and telling nothing: an id may be a telephone number."""
    digest = hashlib.sha256("\0".join(msgspec.structs.astuple(name)).encode()).hexdigest()
    return f"{digest[:2]}/{digest}{SUFFIX}"
