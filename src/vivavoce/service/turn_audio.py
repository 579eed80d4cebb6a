"""The sound of one turn: cut out of the call's recording, or, of a conversation by text, spoken when it is asked for."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from msgspec import Struct

from vivavoce.audio import pcm, wav
from vivavoce.domain.conversation import Turn
from vivavoce.domain.principal import Principal
from vivavoce.engine.rendering import channel_family
from vivavoce.errors import NotFound
from vivavoce.service.audio_cache import AudioCache
from vivavoce.service.conversations import Conversations, Found
from vivavoce.service.deployments import Deployments
from vivavoce.service.manner import voice_of
from vivavoce.service.recordings import CallRecordings, Direction, RecordingNotFound, Sound
from vivavoce.service.redaction import customer_of, redactor, sees_personal, shown
from vivavoce.speech.interface import Unspeakable
from vivavoce.voice.call import Engines
from vivavoce.voice.pronouncing import pronounced, readable, sentences

MOST_KEPT = 64 << 20  # bytes of speech that was asked for lately
MARGIN = round(0.1 * pcm.RATE)  # samples around a turn's side


class TurnNotFound(NotFound):
    code = "TURN_NOT_FOUND"


class File(Struct, frozen=True):
    """A small file in memory, to be read like a recording."""

    body: bytes
    etag: str

    @property
    def size(self) -> int:
        return len(self.body)

    async def read(self, start: int, length: int) -> AsyncIterator[bytes]:
        yield self.body[start : start + length]


class TurnAudio:
    def __init__(
        self,
        conversations: Conversations,
        deployments: Deployments,
        recordings: CallRecordings,
        cache: AudioCache,
        engines: Callable[[], Awaitable[Engines]],
        *,
        can_speak: bool,
    ) -> None:
        self._conversations = conversations
        self._deployments = deployments
        self._recordings = recordings
        self._cache = cache
        self._engines = engines
        self.can_speak = can_speak
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def url(self, principal: Principal, agent_id: str, conversation_id: str, channel: str, turn: Turn) -> str | None:
        """Where the reply of a turn can be heard; None where it cannot, or not by this principal."""
        if not (
            self.can_speak and turn.reply and channel_family(channel) == "voice" and "read" in principal.permissions
        ):
            return None
        return f"/v1/agents/{agent_id}/conversations/{conversation_id}/turns/{turn.index}/audio?direction=agent"

    async def sound(
        self,
        principal: Principal,
        agent_id: str,
        id: str,
        index: int,
        *,
        direction: Direction | None,
        is_redacted: bool,
    ) -> Sound | File:
        found = await self._conversations.get(principal, agent_id, id)
        turn = next((turn for turn in found.turns if turn.index == index), None)
        if turn is None:
            raise TurnNotFound(f"The conversation has turns 0 to {len(found.turns) - 1}.")
        if direction is None:
            spoken = turn.input.spoken
            direction = "user" if spoken is not None and spoken.end > spoken.start else "agent"
        if found.conversation.is_recorded:
            whole = await self._recordings.sound(
                principal,
                found.conversation,
                direction=direction,
                is_redacted=is_redacted,
                rules=found.finder.name,
            )
            start, end = _window(turn, direction)
            return whole.cut(start - MARGIN, end + MARGIN)
        if direction != "agent" or not turn.reply:
            raise RecordingNotFound
        text = turn.reply
        if is_redacted or not sees_personal(principal):
            known = redactor(found.turns, [customer_of(found.conversation)], found.finder)
            text = await asyncio.to_thread(shown, turn, "reply", known)
        return await self._spoken(found, turn, text)

    async def _spoken(self, found: Found, turn: Turn, text: str) -> File:
        conversation = found.conversation
        agent = (await self._deployments.prepared(conversation.tree)).agent
        voice = voice_of(_voice_at(found.turns, turn.index), turn.tts_language, conversation.id)
        said = [readable(pronounced(part, agent.speech.pronunciations, turn.tts_language)) for part in sentences(text)]
        name = hashlib.sha256(repr((conversation.agent_id, voice, said)).encode()).hexdigest()[:32]
        body = self._kept.get(name)
        if body is None:
            engines = await self._engines()
            speaker = self._cache.over(
                engines.synthesizer, conversation.account_id, conversation.agent_id, conversation.id
            )
            sound = bytearray()
            for part in said:
                if any(c.isalnum() for c in part):
                    sound += b"".join([piece.pcm async for piece in speaker.speak(part, voice)])
            if not sound:
                raise Unspeakable("There is nothing to be heard in this reply.")
            body = self._kept[name] = wav.of(bytes(sound))
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > MOST_KEPT:
                self._kept.popitem(last=False)
        return File(body, name)

    def forget(self) -> None:
        """After an erasure."""
        self._kept.clear()


def _window(turn: Turn, direction: Direction) -> tuple[int, int]:
    """Samples of the recording in which a side of the turn, or all of it, is heard."""
    spoken, played = turn.input.spoken, turn.played
    user = (spoken.start, spoken.end) if spoken is not None and spoken.end > spoken.start else None
    agent = (played.start, played.end or played.start) if played is not None and played.start is not None else None
    wanted = [
        side
        for side, name in ((user, "user"), (agent, "agent"))
        if side is not None and direction in (name, "combined")
    ]
    if not wanted:
        raise RecordingNotFound("Nothing was said on that side of this turn.")
    return min(start for start, _ in wanted), max(end for _, end in wanted)


def _voice_at(turns: Sequence[Turn], index: int) -> dict[str, object] | None:
    """The voice that author code has set last, up to this turn."""
    return next((turn.voice for turn in reversed(turns[: index + 1]) if turn.voice is not None), None)
