"""Redacted recordings: what is personal in a call's sound is found by listening to it, muted, and listened to again, until
nothing personal is heard. The raw sound stays as it is; the muted spans are kept beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from vivavoce.audio import muting, pcm, wav
from vivavoce.domain.call import MutedSpan, Recording
from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import Conversation, Turn
from vivavoce.domain.work import Work
from vivavoce.redaction import spoken
from vivavoce.redaction.redact import Redactor
from vivavoce.redaction.spoken import Timed
from vivavoce.redaction.text import Span
from vivavoce.service.finders import Finders
from vivavoce.service.recordings import CallRecordings, Direction
from vivavoce.service.redaction import customer_of, redactor, spans
from vivavoce.speech.interface import Hints, Recognizer, VoiceActivity
from vivavoce.store.interface import Store
from vivavoce.voice.call import Engines
from vivavoce.voice.endpointing import Endpointing, Settings, SpeechEnded

log = logging.getLogger(__name__)
PAD = 0.5  # seconds around what is personal; word times are this uncertain
REACH = 0.35  # seconds further, to the next pause
KEY_ROOM = 0.5  # seconds before the first key and after the last: it is told of late
STEP = 0.3  # seconds more in each round
GAP = 0.6  # seconds between two muted spans that become one
MARGIN = 0.5  # seconds around an utterance, for its first and last sounds
MOST_ROUNDS = 5  # then the whole utterance is muted
AGAIN = timedelta(minutes=2)
_SEGMENTS = Settings(begins_after=0.06, pauses_after=0.3, ends_after=0.7, longest=24.0, speech=0.35, silence=0.2)


class Utterance(Struct, frozen=True, kw_only=True):
    """A stretch of one side of a call. `is_suspect`: the record says that something personal was said in it;
    `is_unheard`: and nobody hears any speech there."""

    start: int
    end: int
    is_suspect: bool = False
    is_unheard: bool = False


class Muted(Struct, frozen=True, kw_only=True):
    spans: tuple[muting.Span, ...]
    rounds: int
    is_whole: bool  # muted from end to end, since it could not be told where


class AudioRedaction:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        finders: Finders,
        recordings: CallRecordings,
        engines: Callable[[], Awaitable[Engines]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._finders = finders
        self._recordings = recordings
        self._engines = engines
        self._going_on: set[tuple[str, str, str]] = set()

    async def redact(self, work: Work) -> datetime | None:
        """Background work: the muted spans of one recording, unless they are known already by the same rules."""
        assert work.subject is not None
        subject = (work.subject.account_id, work.subject.agent_id, work.subject.id)
        if subject in self._going_on:  # its lease ran out while it is being listened to
            return self._clock.now() + AGAIN
        conversation = await self._store.get(*subject)
        if conversation is None:
            return None
        self._going_on.add(subject)
        try:
            await self._redact(conversation)
        finally:
            self._going_on.discard(subject)
        return None

    async def _redact(self, conversation: Conversation) -> None:
        recording = await self._recordings.get_fact(conversation)
        if recording is None:
            return
        engines = await self._engines()
        finder = await self._finders(conversation.account_id, conversation.agent_id)
        if recording.muted is not None and recording.rules == finder.name:
            return
        turns = await self._store.turns(conversation)
        known = Known(redactor(turns, [customer_of(conversation)], finder))
        muted: list[MutedSpan] = []
        rounds, is_clean = 0, True
        for side in _SIDES:
            find = known.said_by_caller if side == "user" else known.said_by_agent
            listener = Listener(engines.recognizer, find, conversation.language)
            sound = await self._sound(conversation, recording, side)
            found = (
                await asyncio.to_thread(utterances, sound, engines.activity)
                if side == "user"
                else _spoken_by_agent(turns)
            )
            if side == "user":
                muted += [MutedSpan(side, start, end) for start, end in _keyed(turns, recording.samples)]
            for utterance in _suspected(found, side, turns, known, recording.samples):
                if side == "agent" and not utterance.is_suspect:
                    continue  # its words are known exactly, and nothing in them is personal
                done = await listener.mute(sound, utterance)
                muted += [MutedSpan(side, start, end) for start, end in done.spans]
                rounds, is_clean = max(rounds, done.rounds), is_clean and not done.is_whole
        async with self._recordings.closed(conversation) as current:
            kept = await self._recordings.get_fact(conversation) if current is not None else None
            if kept is not None and kept.key == recording.key:  # neither erased nor stored anew meanwhile
                done_ = replace(
                    recording,
                    muted=tuple(muted),
                    rounds=rounds,
                    is_clean=is_clean,
                    redacted_by=engines.recognizer.name,
                    rules=finder.name,
                )
                await self._recordings.put_fact(conversation, done_)

    async def _sound(self, conversation: Conversation, recording: Recording, side: Direction) -> bytes:
        sound = self._recordings.view(conversation, recording, direction=side)
        return b"".join([piece async for piece in sound.read(wav.HEADER_BYTES, sound.size - wav.HEADER_BYTES)])


_SIDES: tuple[Literal["user"], Literal["agent"]] = ("user", "agent")


class Known:
    """What is personal in a conversation, by its record. As in its texts, an agent's words are judged by rules: they are
    mostly its author's, in which a tagger would find names that are nobody's."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def said_by_caller(self, text: str) -> Sequence[Span]:
        return self._redactor.spans(text)

    def said_by_agent(self, text: str) -> Sequence[Span]:
        return self._redactor.spans(text, is_thorough=False)

    def is_personal_input(self, turn: Turn) -> bool:
        return bool(spans(turn, "input", self._redactor.finder) or self.said_by_caller(turn.input.text))

    def is_personal_reply(self, turn: Turn) -> bool:
        decided = spans(turn, "reply", self._redactor.finder)
        return bool(decided or self.said_by_agent(turn.reply + turn.unplayed))


class Listener:
    """Mutes what is personal in an utterance, and listens again."""

    def __init__(self, recognizer: Recognizer, find: Callable[[str], Sequence[Span]], language: str) -> None:
        self._recognizer = recognizer
        self._find = find
        self._hints = Hints(language=language or "en", needs_words=True)

    async def mute(self, sound: bytes, utterance: Utterance) -> Muted:
        """In samples of the whole sound."""
        whole = (utterance.start, utterance.end)
        if utterance.is_unheard:
            return Muted(spans=(whole,), rounds=0, is_whole=True)
        own = sound[utterance.start * 2 : utterance.end * 2]
        length = utterance.end - utterance.start
        muted: tuple[muting.Span, ...] = ()
        secrets: frozenset[str] = frozenset()
        for number in range(MOST_ROUNDS):
            words = await self._words(muting.muted(own, muted))
            found = spoken.stretches(words, self._find)
            secrets |= spoken.secrets_of(w.text for w in words if any(a <= w.start < b for a, b in found))
            if muted:
                seconds = [(start / pcm.RATE, end / pcm.RATE) for start, end in muted]
                found += spoken.rests(words, seconds, secrets)
            if not found:
                if not muted and utterance.is_suspect:
                    break  # it is in there, but this recogniser does not say where
                spans = tuple((start + utterance.start, end + utterance.start) for start, end in muted)
                return Muted(spans=spans, rounds=number, is_whole=False)
            muted = _widened(own, muted, found, length, number)
        return Muted(spans=(whole,), rounds=MOST_ROUNDS, is_whole=True)

    async def _words(self, sound: bytes) -> list[Timed]:
        began = monotonic()
        listening = self._recognizer.listen(self._hints)
        try:
            listening.feed(sound)
            listening.pause()
            heard = await listening.finish()
        finally:
            await listening.close()
        await asyncio.sleep(min(2.0, monotonic() - began))  # callers who wait for the same engine go first
        return [Timed(word.text, word.start, word.end) for word in heard.words]


def _widened(
    own: bytes, muted: Sequence[muting.Span], found: Sequence[spoken.Stretch], length: int, number: int
) -> tuple[muting.Span, ...]:
    """What is muted so far, and what was found now with room around it: more with every round."""
    limits = (0, length)
    pad = round((PAD + STEP * number) * pcm.RATE)
    wider = [
        muting.at_pauses(
            own,
            muting.widened((round(start * pcm.RATE), round(end * pcm.RATE)), pad, within=limits),
            reach=round(REACH * pcm.RATE),
            within=limits,
        )
        for start, end in found
    ]
    step = round(STEP * pcm.RATE)
    return muting.merged(
        [*(muting.widened(span, step, within=limits) for span in muted), *wider], gap=round(GAP * pcm.RATE)
    )


def utterances(sound: bytes, activity: VoiceActivity) -> list[Utterance]:
    """Every stretch of speech, also what was said while nobody listened."""
    detector = activity.detector()
    endpointing = Endpointing(_SEGMENTS)
    found: list[Utterance] = []
    total = len(sound) // pcm.SAMPLE_BYTES
    tail = pcm.silence(round((_SEGMENTS.ends_after + 0.2) * pcm.RATE))
    whole = sound + tail
    for at in range(0, len(whole) - pcm.FRAME_BYTES + 1, pcm.FRAME_BYTES):
        now = (at // 2 + pcm.FRAME) / pcm.RATE
        heard = endpointing.hear(now, pcm.FRAME_SECONDS, detector.hear(whole[at : at + pcm.FRAME_BYTES]))
        if isinstance(heard, SpeechEnded):
            found.append(_with_margin(heard.start, heard.end, total))
    return found


def _with_margin(start: float, end: float, total: int) -> Utterance:
    return Utterance(start=max(0, round((start - MARGIN) * pcm.RATE)), end=min(total, round((end + MARGIN) * pcm.RATE)))


def _spoken_by_agent(turns: Sequence[Turn]) -> list[Utterance]:
    return [
        Utterance(start=turn.played.start, end=turn.played.end)
        for turn in turns
        if turn.played is not None and turn.played.start is not None and turn.played.end is not None
    ]


def _keyed(turns: Sequence[Turn], samples: int) -> list[muting.Span]:
    """Where keys were pressed that may be somebody's number: their tones can be heard, and nobody speaks them."""
    room = round(KEY_ROOM * pcm.RATE)
    return [
        (max(0, turn.input.spoken.start - room), min(samples, turn.input.spoken.end + room))
        for turn in turns
        if turn.input.spoken is not None and (len(turn.input.dtmf) > 2 or turn.input.spoken.is_secret)
    ]


def _suspected(
    found: Sequence[Utterance], side: str, turns: Sequence[Turn], known: Known, samples: int
) -> list[Utterance]:
    """Marks those in which, by the record, something personal was said. One that nobody has found is muted as it is."""
    stretches = []
    for turn in turns:
        if side == "user" and turn.input.spoken is not None and known.is_personal_input(turn):
            stretches.append((turn.input.spoken.start, turn.input.spoken.end))
        # Of a reply that was cut more was heard than the words that are whole.
        if side == "agent" and turn.played is not None and known.is_personal_reply(turn):
            stretches.append((turn.played.start or 0, turn.played.end or 0))
    marked = [replace(u, is_suspect=any(start < u.end and u.start < end for start, end in stretches)) for u in found]
    missed = [s for s in stretches if s[0] < s[1] and not any(s[0] < u.end and u.start < s[1] for u in found)]
    return marked + [
        Utterance(start=max(0, start), end=min(samples, end), is_suspect=True, is_unheard=True) for start, end in missed
    ]
