"""The sound of calls: kept when a call is over, given out raw or redacted, gone with its conversation."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vivavoce.audio import mixing, muting, pcm, wav
from vivavoce.domain.call import Recording
from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import Conversation
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.domain.work import Work
from vivavoce.errors import NotFound
from vivavoce.recordings import spool
from vivavoce.recordings.interface import Name, Recordings, RecordingsError
from vivavoce.recordings.sealed import KEY_BYTES, read_sealed, seal_file
from vivavoce.service.claims import Claims
from vivavoce.service.redaction import sees_personal
from vivavoce.store.interface import Store

log = logging.getLogger(__name__)
FACT = "recording"
REDACT_AUDIO = "redact_audio"  # kinds of work
STORE_RECORDING = "store_recording"
STORE_AGAIN = timedelta(seconds=30)
PASS_ON = timedelta(seconds=3)
MOST_PASSES = 100_000  # 3.5 days of waiting for the process whose disk holds the file
PIECE = 1 << 18  # bytes read at once: 4 s of both sides
Direction: TypeAlias = Literal["combined", "user", "agent"]
_SIDES: dict[Direction, int] = {"user": 0, "agent": 1}
_convert = msgspec.convert


class RecordingNotFound(NotFound):
    code = "CONVERSATIONS_RECORDING_NOT_FOUND"

    def __init__(self, message: str = "Audio recording not found for this conversation.") -> None:
        super().__init__(message)


class Sound(Struct, frozen=True, kw_only=True):
    """A WAV file that can be read from any place; it is made while it is read."""

    size: int
    etag: str
    recordings: Recordings
    name: Name
    recording: Recording
    direction: Direction
    is_mono: bool
    is_redacted: bool
    first: int = 0  # samples of the recording that it begins and
    last: int  # ends with

    def cut(self, first: int, last: int) -> Sound:
        """Only these samples, as a file of their own."""
        first, last = max(self.first, first), min(self.last, last)
        if first >= last:  # the recording broke off before it
            raise RecordingNotFound
        size = wav.HEADER_BYTES + max(0, last - first) * self._channels * pcm.SAMPLE_BYTES
        return replace(self, first=first, last=last, size=size, etag=f"{self.etag}-{first}-{last}")

    async def read(self, start: int, length: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `start + length` of the file."""
        head = wav.header(self.size - wav.HEADER_BYTES, channels=self._channels)
        if start < len(head):
            yield head[start : start + length]
            length -= min(length, len(head) - start)
            start = len(head)
        block = self._channels * pcm.SAMPLE_BYTES
        at = start - len(head)
        first, skip = at // block, at % block
        while length > 0:
            count = min(PIECE // 4, self.last - self.first - first)
            if count <= 0:
                return
            sound = await self.samples(self.first + first, count)
            piece = sound[skip : skip + length]
            yield piece
            length -= len(piece)
            first, skip = first + count, 0

    async def samples(self, first: int, count: int) -> bytes:
        stereo = await read_sealed(
            self.recordings, self.name, self.recording.key, wav.HEADER_BYTES + first * 4, count * 4
        )
        sides = [mixing.channel(stereo, 0), mixing.channel(stereo, 1)]
        if self.is_redacted:
            for number, side in enumerate(("user", "agent")):
                spans = [(span.start, span.end) for span in self.recording.muted or () if span.side == side]
                sides[number] = muting.muted(sides[number], spans, first=first)
        if self.direction != "combined":
            return sides[_SIDES[self.direction]]
        both = mixing.interleaved(*sides)
        return mixing.mixed(both) if self.is_mono else both

    @property
    def _channels(self) -> int:
        return 2 if self.direction == "combined" and not self.is_mono else 1


class CallRecordings:
    """`folder` holds what is still being recorded, and what could not be stored yet."""

    def __init__(self, store: Store, clock: Clock, recordings: Recordings, folder: Path, claims: Claims) -> None:
        self._store = store
        self._clock = clock
        self._recordings = recordings
        self._folder = folder
        self._claims = claims

    def begin(self, conversation: Conversation) -> spool.SpoolFile:
        return spool.SpoolFile(self._folder, name_of(conversation))

    # Keeping.

    async def keep(self, conversation: Conversation, path: Path, *, is_whole: bool = True) -> None:
        """Stores what a call has recorded, or throws it away when the call was not to be recorded after all, or is gone."""
        async with self.closed(conversation) as current:
            if current is None or not current.is_recorded:
                await asyncio.to_thread(spool.remove, path)
            elif await asyncio.to_thread(path.is_file):
                await self._keep(current, path, is_whole=is_whole)

    @asynccontextmanager
    async def closed(self, conversation: Conversation) -> AsyncIterator[Conversation | None]:
        """Nobody else stores, replaces or erases anything of its sound meanwhile. Yields it as it is now."""
        async with self._claims.hold(FACT, *msgspec.structs.astuple(conversation.subject)):
            current = await self._store.get(conversation.account_id, conversation.agent_id, conversation.id)
            is_same = current is not None and current.started_at == conversation.started_at
            yield current if is_same else None

    async def _keep(self, conversation: Conversation, path: Path, *, is_whole: bool) -> None:
        samples = await asyncio.to_thread(spool.repair, path)
        digest = await asyncio.to_thread(_digest, path)
        key, sealed = os.urandom(KEY_BYTES), path.with_suffix(".sealed")
        try:
            await asyncio.to_thread(seal_file, path, sealed, key)
            await self._recordings.put(name_of(conversation), sealed)
        finally:
            await asyncio.to_thread(sealed.unlink, missing_ok=True)
        await self.put_fact(conversation, Recording(samples=samples, sha256=digest, key=key, is_whole=is_whole))
        await self._store.add_work([listen_again(conversation, self._clock.now())])
        await asyncio.to_thread(spool.remove, path)

    async def recover(self) -> list[Conversation]:
        """Keeps what was left on disk: by a crash, or because the object store was away. The conversations concerned."""
        found = []
        for left in await asyncio.to_thread(lambda: list(spool.left_in(self._folder))):
            conversation = await self._store.get(*msgspec.structs.astuple(left.name))
            try:
                if conversation is None:  # erased meanwhile, or never begun
                    await asyncio.to_thread(spool.remove, left.path)
                    continue
                found.append(conversation)
                await self.keep(conversation, left.path)
            except RecordingsError as error:
                log.warning("a recording waits on disk: %s", error.code)
                await self.store_later(found[-1])
            except OSError as error:  # one file that cannot be read must not keep the server from starting
                log.error("a recording on disk cannot be kept: %s", type(error).__name__)
        return found

    async def store_later(self, conversation: Conversation, *, is_whole: bool = True) -> None:
        """For when the object store is away: the recording waits on disk."""
        due = self._clock.now() + STORE_AGAIN
        payload = {"is_whole": is_whole}
        work = Work(kind=STORE_RECORDING, key="", subject=conversation.subject, due_at=due, payload=payload)
        await self._store.add_work([work])

    async def store_again(self, work: Work) -> datetime | None:
        """Background work: tries until it is stored, however long that takes."""
        assert work.subject is not None
        conversation = await self._store.get(work.subject.account_id, work.subject.agent_id, work.subject.id)
        if conversation is None:
            return None
        path = spool.path_in(self._folder, name_of(conversation))
        if not await asyncio.to_thread(path.is_file):
            if not conversation.is_recorded or await self.get_fact(conversation) is not None:
                return None
            # It lies on the disk of another process, which has yet to come by.
            return self._clock.now() + PASS_ON if work.attempts < MOST_PASSES else None
        try:
            await self.keep(conversation, path, is_whole=bool(work.payload.get("is_whole", True)))
        except (RecordingsError, OSError) as error:
            log.warning("a recording waits on disk: %s", type(error).__name__)
            return self._clock.now() + STORE_AGAIN
        return None

    async def put_fact(self, conversation: Conversation, recording: Recording) -> None:
        fact = Fact(
            account_id=conversation.account_id,
            agent_id=conversation.agent_id,
            kind=FACT,
            key=conversation.id,
            subject=conversation.subject,
            body=msgspec.to_builtins(recording),
            at=self._clock.now(),
        )
        await self._store.put_fact(fact)

    async def get_fact(self, conversation: Conversation) -> Recording | None:
        fact = await self._store.get_fact(
            conversation.account_id, conversation.agent_id, FACT, conversation.id, self._clock.now()
        )
        return _convert(fact.body, Recording) if fact is not None else None

    # Giving out.

    async def sound(
        self,
        principal: Principal,
        conversation: Conversation,
        *,
        direction: Direction = "combined",
        is_redacted: bool = False,
        is_mono: bool = False,
        rules: str = "",
    ) -> Sound:
        """Whoever may not see personal data hears the redacted sound, by the present `rules`, whatever was asked for."""
        recording = await self.get_fact(conversation) if conversation.is_recorded else None
        if recording is None:
            path = spool.path_in(self._folder, name_of(conversation))
            if not conversation.is_recorded or not await asyncio.to_thread(path.is_file):
                raise RecordingNotFound
            raise RecordingNotFound(
                "The recording is being stored; try again in a moment."
                if conversation.is_ended
                else "The recording is there when the call is over."
            )
        is_redacted = is_redacted or not sees_personal(principal)
        if is_redacted and (recording.muted is None or recording.rules != rules):
            raise RecordingNotFound(
                "The recording has not been redacted by the present rules yet; try again in a minute."
            )
        return self.view(conversation, recording, direction=direction, is_redacted=is_redacted, is_mono=is_mono)

    def view(
        self,
        conversation: Conversation,
        recording: Recording,
        *,
        direction: Direction,
        is_redacted: bool = False,
        is_mono: bool = False,
    ) -> Sound:
        is_mono = is_mono and direction == "combined"
        channels = 2 if direction == "combined" and not is_mono else 1
        kind = (recording.sha256, direction, is_mono, recording.muted if is_redacted else None)
        return Sound(
            size=wav.HEADER_BYTES + recording.samples * channels * pcm.SAMPLE_BYTES,
            etag=hashlib.sha256(msgspec.json.encode(kind)).hexdigest()[:32],
            recordings=self._recordings,
            name=name_of(conversation),
            recording=recording,
            direction=direction,
            is_mono=is_mono,
            is_redacted=is_redacted,
            last=recording.samples,
        )

    async def erase(self, conversation: Conversation) -> int:
        """How many files went: the stored one, and one that is still on this machine's disk."""
        name = name_of(conversation)
        is_here = await asyncio.to_thread(spool.remove, spool.path_in(self._folder, name))
        is_stored = conversation.is_recorded and await self._recordings.remove(name)
        return int(is_here or is_stored)


def listen_again(conversation: Conversation, at: datetime) -> Work:
    """The work by which what is personal in a recording is found."""
    return Work(kind=REDACT_AUDIO, key="", subject=conversation.subject, due_at=at)


def name_of(conversation: Conversation) -> Name:
    return Name(conversation.account_id, conversation.agent_id, conversation.id)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
