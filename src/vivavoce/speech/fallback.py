"""Engines in order: when one fails, the next takes over, within the same utterance."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from time import monotonic

from msgspec.structs import replace

from vivavoce.speech.interface import (
    Hints,
    Listening,
    Recognizer,
    Sound,
    SpeechError,
    Synthesizer,
    Transcript,
    Voice,
)

log = logging.getLogger(__name__)
REST_SECONDS = 30.0  # that an engine is left alone after it has failed


class _Resting:
    """Those that have failed lately come last, so that no caller waits for them again and again."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}

    def failed(self, name: str, error: SpeechError) -> None:
        log.warning("speech engine %s failed: %s", name, error.code)
        if error.is_engine_down:
            self._until[name] = self._seconds() + REST_SECONDS

    def is_resting(self, name: str) -> bool:
        return self._until.get(name, 0.0) > self._seconds()


class FallbackRecognizer:
    def __init__(self, engines: Sequence[Recognizer], *, seconds: Callable[[], float] = monotonic) -> None:
        self.name = engines[0].name
        self._engines = engines
        self._resting = _Resting(seconds)

    def listen(self, hints: Hints) -> _Listening:
        return _Listening(sorted(self._engines, key=lambda e: self._resting.is_resting(e.name)), hints, self._resting)

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()


class _Listening:
    """Keeps the sound, so that another engine can hear it again."""

    def __init__(self, engines: Sequence[Recognizer], hints: Hints, resting: _Resting) -> None:
        self._engines = list(engines)
        self._hints = hints
        self._resting = resting
        self._sound = bytearray()
        self._current: Listening | None = None
        self._error: SpeechError | None = None
        self._begin()

    def _begin(self) -> None:
        """The next engine that takes these hints; None when there is none left."""
        self._current = None
        while self._engines and self._current is None:
            try:
                self._current = self._engines[0].listen(_own(self._hints, self._engines[0].name))
                if self._sound:
                    self._current.feed(bytes(self._sound))
            except SpeechError as error:
                self._fail(error)

    def _fail(self, error: SpeechError) -> None:
        self._resting.failed(self._engines.pop(0).name, error)
        self._error = error

    def feed(self, frame: bytes) -> None:
        self._sound += frame
        if self._current is not None:
            self._current.feed(frame)

    def pause(self) -> None:
        if self._current is not None:
            self._current.pause()

    async def finish(self) -> Transcript:
        while self._current is not None:
            try:
                return await self._current.finish()
            except SpeechError as error:
                await self._current.close()
                self._fail(error)
                self._begin()
        raise self._error or SpeechError("There is no engine to recognise with.")

    async def close(self) -> None:
        if self._current is not None:
            await self._current.close()


def _own(hints: Hints, engine: str) -> Hints:
    """A model that is named for another engine is none of this one's."""
    return hints if not hints.model or hints.provider in ("", engine) else replace(hints, model="")


class FallbackSynthesizer:
    """The engine of the voice's provider first. Another one speaks in its own voice, and says the whole text again."""

    def __init__(self, engines: Sequence[Synthesizer], *, seconds: Callable[[], float] = monotonic) -> None:
        self.name = engines[0].name
        self.provider = engines[0].provider
        self.engines = engines
        self._resting = _Resting(seconds)

    async def speak(self, text: str, voice: Voice) -> AsyncIterator[Sound]:
        last: SpeechError | None = None
        order = sorted(
            self.engines,
            key=lambda e: (self._resting.is_resting(e.name), bool(voice.provider) and e.provider != voice.provider),
        )
        for engine in order:
            is_own = not voice.provider or engine.provider == voice.provider
            try:
                source = engine.speak(text, voice if is_own else replace(voice, provider="", id="", parameters={}))
                async with aclosing(source):  # type: ignore[type-var]  # an async generator, whose request ends with it
                    async for sound in source:
                        yield sound
                return
            except SpeechError as error:
                self._resting.failed(engine.name, error)
                last = error
        raise last or SpeechError("There is no engine to speak with.")

    async def close(self) -> None:
        for engine in self.engines:
            await engine.close()


def engine_of(synthesizer: Synthesizer, voice: Voice) -> str:
    """The engine that speaks this voice when all of them are well."""
    engines = synthesizer.engines if isinstance(synthesizer, FallbackSynthesizer) else [synthesizer]
    own = (engine.name for engine in engines if voice.provider and engine.provider == voice.provider)
    return next(own, engines[0].name)
