"""A recording that grows on disk while the call goes on: a valid WAV file twice a second, whatever happens then."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from vivavoce.audio import mixing, pcm, wav
from vivavoce.errors import NOT_JSON
from vivavoce.recordings.interface import Name

SECONDS = 0.5  # what a crash may cost at most, beside what the call holds back
SUFFIX = ".wav"
_EVERY = round(SECONDS * pcm.RATE)
_BLOCK = 2 * pcm.SAMPLE_BYTES
_decode_name = msgspec.json.Decoder(Name).decode


class Spooled(Struct, frozen=True):
    """A file that was left on disk, and whose it is."""

    path: Path
    name: Name


class SpoolFile:
    """Half seconds are written in a thread, one after another; the call never waits for the disk."""

    def __init__(self, folder: Path, name: Name) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path_in(folder, name)
        self.samples = 0
        self._caller = bytearray()
        self._agent = bytearray()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._due = bytearray()
        self.error: OSError | None = None
        try:
            _write(_label(self.path), msgspec.json.encode(name))
            os.pwrite(self._file, wav.header(0, channels=2), 0)
        except OSError:
            os.close(self._file)
            remove(self.path)
            raise

    def write(self, caller: bytes, agent: bytes) -> None:
        self._caller += caller
        self._agent += agent
        self.samples += len(caller) // pcm.SAMPLE_BYTES
        if len(self._caller) >= _EVERY * pcm.SAMPLE_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self.error is not None:  # nothing more can be kept
            self._caller.clear()
            self._agent.clear()
            self._due.clear()
            return
        self._due += mixing.interleaved(bytes(self._caller), bytes(self._agent))
        self._caller.clear()
        self._agent.clear()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_due())

    async def _write_due(self) -> None:
        while self._due and self.error is None:
            due, self._due = bytes(self._due), bytearray()
            try:
                await asyncio.to_thread(self._append, due)
            except OSError as error:  # a full disk ends the recording, not the call
                self.error = error

    def _append(self, sound: bytes) -> None:
        """The sound first, then the length that tells of it: in between, the file is as it was before."""
        at = wav.HEADER_BYTES + self._bytes
        view = memoryview(sound)
        while view:
            written = os.pwrite(self._file, view, at)
            view, at = view[written:], at + written
        os.fdatasync(self._file)
        self._bytes += len(sound)
        os.pwrite(self._file, wav.header(self._bytes, channels=2), 0)

    async def close(self) -> None:
        if self._caller:
            self._flush()
        try:
            if self._writing is not None:
                await self._writing
        finally:
            os.close(self._file)


def path_in(folder: Path, name: Name) -> Path:
    """Where the recording of a conversation grows, whether it does or not."""
    return folder / (hashlib.sha256(msgspec.json.encode(name)).hexdigest() + SUFFIX)


def left_in(folder: Path) -> Iterator[Spooled]:
    """What earlier processes were writing when they ended."""
    for path in sorted(folder.glob("*" + SUFFIX)) if folder.is_dir() else ():
        try:
            yield Spooled(path, _decode_name(_label(path).read_bytes()))
        except (OSError, *NOT_JSON):
            continue


def repair(path: Path) -> int:
    """Gives the file the length that it really has: the last of it may have come without its header. Its samples."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        sound = max(0, size - wav.HEADER_BYTES) // _BLOCK * _BLOCK
        file.truncate(wav.HEADER_BYTES + sound)
        file.seek(0)
        file.write(wav.header(sound, channels=2))
    return sound // _BLOCK


def remove(path: Path) -> bool:
    """True when it was there."""
    was_there = path.is_file()
    path.unlink(missing_ok=True)
    path.with_suffix(".sealed").unlink(missing_ok=True)  # made while it is stored
    _label(path).unlink(missing_ok=True)
    return was_there


def _label(path: Path) -> Path:
    """Where it is written whose the file is."""
    return path.with_suffix(".json")


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
