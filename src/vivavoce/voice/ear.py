"""The caller's side of a call: frames and keys become what the caller says. Recognition runs while the caller speaks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from vivavoce.audio import pcm
from vivavoce.domain.call import Spoken
from vivavoce.speech.interface import Detector, Listening, Recognizer, SpeechError, VoiceActivity
from vivavoce.voice import endpointing
from vivavoce.voice.barge_in import BargeIn
from vivavoce.voice.conduct import Manner, Said
from vivavoce.voice.dtmf import Entry, Keypad
from vivavoce.voice.endpointing import Endpointing, SilenceTimer, SpeechBegan, SpeechEnded, SpeechPaused

PREROLL_SECONDS = 0.4  # of sound from before speech was noticed, which belongs to the utterance


class Ear:
    """`said` gets what the caller contributed, `failed` what kept it from being understood. Neither is called from `hear`
    itself but for keys and silence."""

    def __init__(
        self,
        recognizer: Recognizer,
        activity: VoiceActivity,
        *,
        said: Callable[[Said], None],
        failed: Callable[[SpeechError], None],
        seconds: Callable[[], float],
    ) -> None:
        self._recognizer = recognizer
        self._detector: Detector = activity.detector()
        self._said = said
        self._failed = failed
        self._seconds = seconds
        self._manner = Manner()
        self._endpointing = Endpointing()
        self._barge_in = BargeIn()
        self._keypad = Keypad()
        self._silence = SilenceTimer(self._manner.silence_seconds)
        self._recent: deque[bytes] = deque(maxlen=round(PREROLL_SECONDS / pcm.FRAME_SECONDS))
        self._levels: list[float] = []  # of the utterance, in blocks of 10 ms from
        self._levels_from = 0.0  # seconds on
        self._listening: Listening | None = None
        self._recognising: set[asyncio.Task[None]] = set()
        self._is_interrupting = False
        self._has_begun_over_agent = False

    def settle(self, manner: Manner) -> None:
        """How to listen from now on; an utterance that has begun goes on as it began."""
        self._manner = manner
        self._endpointing.settings = manner.endpointing
        self._barge_in.settings = manner.barge_in
        self._keypad.settle(manner.keys)
        self._silence = SilenceTimer(manner.silence_seconds)

    @property
    def is_recognising(self) -> bool:
        return bool(self._recognising)

    @property
    def is_busy(self) -> bool:
        """The caller has begun something that has not been told yet."""
        return self._endpointing.is_active or self._keypad.is_active or self.is_recognising

    @property
    def has_floor(self) -> bool:
        """The caller is speaking, and was before the agent had anything to say: the agent waits."""
        return self._endpointing.is_active and not self._has_begun_over_agent

    @property
    def is_taking_secret(self) -> bool:
        return self._manner.keys.is_secret or self._keypad.is_secret

    def press(self, keys: str, now: float, *, is_agent_speaking: bool) -> bool:
        """True when the agent has to stop for it."""
        settings = self._manner.keys
        if not settings.is_enabled or (is_agent_speaking and not settings.while_agent_speaks):
            return False
        for key in keys:
            entry = self._keypad.press(key, now)
            if entry is not None:
                self._entered(entry, now)
        return bool(keys) and is_agent_speaking

    def hear(self, frame: bytes, now: float, *, is_agent_speaking: bool, is_waiting: bool) -> bool:
        """Takes in the 20 ms that end at `now`. True when the caller interrupts, and the agent has to stop.

        `is_waiting`: the agent has nothing more to say, and nothing to think about.
        """
        probability = self._detector.hear(frame)
        if (entry := self._keypad.tick(now)) is not None:
            self._entered(entry, now)
        must_stop = False
        # One who has begun before the agent had anything to say is heard to the end, interruptions allowed or not.
        if self._manner.hears_speech and (self._manner.barge_in.is_enabled or is_waiting or self.has_floor):
            must_stop = is_agent_speaking and self._barge_in.hear(pcm.FRAME_SECONDS, probability)
            self._is_interrupting = self._is_interrupting or must_stop
            self._follow(frame, now, probability, is_agent_speaking)
        else:
            self.forget()
        if self._silence.tick(now, is_waiting=is_waiting and not self.is_busy):
            self._said(Said(spoken=Spoken(start=_sample(now), end=_sample(now))))
        return must_stop

    def _follow(self, frame: bytes, now: float, probability: float, is_agent_speaking: bool) -> None:
        self._recent.append(frame)
        if self._listening is not None:
            self._listening.feed(frame)
            self._levels += pcm.levels(frame, endpointing.BLOCK_SECONDS)
        match self._endpointing.hear(now, pcm.FRAME_SECONDS, probability):
            case SpeechBegan():
                self._has_begun_over_agent = is_agent_speaking
                self._begin(now)
            case SpeechPaused():
                if self._listening is not None:
                    self._listening.pause()
            case SpeechEnded() as ended:
                self._end(ended, now, is_agent_speaking)
            case None:
                pass

    def _begin(self, now: float) -> None:
        try:
            self._listening = self._recognizer.listen(self._manner.hints)
        except SpeechError as error:
            self._endpointing.reset()
            self._failed(error)
            return
        for frame in self._recent:
            self._listening.feed(frame)
        self._levels = pcm.levels(b"".join(self._recent), endpointing.BLOCK_SECONDS)
        self._levels_from = now - len(self._recent) * pcm.FRAME_SECONDS

    def _end(self, ended: SpeechEnded, now: float, is_agent_speaking: bool) -> None:
        listening, self._listening = self._listening, None
        if listening is None:
            return
        is_barge_in, self._is_interrupting = self._is_interrupting, False
        if is_agent_speaking and self._has_begun_over_agent and not is_barge_in:  # a backchannel: the agent goes on
            self._start(listening.close())
            return
        if ended.is_cut:
            listening.pause()
        ended = endpointing.edges(self._levels, self._levels_from, ended)
        spoken = Spoken(
            start=_sample(ended.start),
            end=_sample(ended.end),
            endpointing=round((now - ended.end) * 1000, 1),
            is_barge_in=is_barge_in or is_agent_speaking,
        )
        self._start(self._recognise(listening, spoken))

    async def _recognise(self, listening: Listening, spoken: Spoken) -> None:
        began = self._seconds()
        try:
            heard = await listening.finish()
        except SpeechError as error:
            self._failed(error)
            return
        finally:
            await listening.close()
        spoken = replace(
            spoken,
            alternatives=heard.alternatives,
            confidence=heard.confidence,
            language=heard.language,
            recognizer=heard.engine,
            recognition=round((self._seconds() - began) * 1000, 1),
        )
        if heard.text.strip():
            self._said(Said(text=heard.text.strip(), spoken=spoken))

    def _entered(self, entry: Entry, now: float) -> None:
        self.forget()
        spoken = Spoken(
            start=_sample(entry.start),
            end=_sample(entry.end),
            endpointing=round((now - entry.end) * 1000, 1),
            end_key=entry.end_key,
            is_secret=entry.is_secret,
        )
        self._said(Said(digits=entry.digits or entry.end_key, spoken=spoken))

    def forget(self) -> None:
        """Gives up what has been heard of an utterance."""
        if self._listening is not None:
            self._start(self._listening.close())
            self._listening = None
        self._endpointing.reset()
        self._barge_in.reset()
        self._is_interrupting = False

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._recognising.add(task)
        task.add_done_callback(self._recognising.discard)

    async def close(self) -> None:
        self.forget()
        for task in list(self._recognising):
            task.cancel()
        await asyncio.gather(*self._recognising, return_exceptions=True)


def _sample(seconds: float) -> int:
    return round(seconds * pcm.RATE)
