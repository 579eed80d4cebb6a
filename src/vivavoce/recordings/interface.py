"""Recordings: where a call's sound is kept. Two channels, caller left and agent right, as one WAV file each."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from msgspec import Struct

from vivavoce.errors import VivavoceError


class RecordingsError(VivavoceError):
    """The object store cannot do its work now."""

    code = "RECORDINGS_UNAVAILABLE"
    status = 503
    retryable = True


class Name(Struct, frozen=True):
    """The conversation that a recording belongs to."""

    account_id: str
    agent_id: str
    conversation_id: str


class Recordings(Protocol):
    async def put(self, name: Name, file: Path | bytes) -> None:
        """Stores the file as it is; one that is there already is replaced."""
        ...

    async def size(self, name: Name) -> int | None:
        """Bytes of the file; None when there is none."""
        ...

    async def read(self, name: Name, start: int, length: int) -> bytes: ...

    async def remove(self, name: Name) -> bool:
        """True when there was one."""
        ...
