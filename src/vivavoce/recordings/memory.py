"""Recordings in memory: for tests, and for servers that keep nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from vivavoce.recordings.interface import Name, RecordingsError


class MemoryRecordings:
    def __init__(self) -> None:
        self._files: dict[Name, bytes] = {}

    async def put(self, name: Name, file: Path | bytes) -> None:
        self._files[name] = file if isinstance(file, bytes) else await asyncio.to_thread(file.read_bytes)

    async def size(self, name: Name) -> int | None:
        return len(self._files[name]) if name in self._files else None

    async def read(self, name: Name, start: int, length: int) -> bytes:
        if name not in self._files:
            raise RecordingsError("The recording is gone.")
        return self._files[name][start : start + max(0, length)]

    async def remove(self, name: Name) -> bool:
        return self._files.pop(name, None) is not None
