"""Engines for tests and measurements: each text is a tone of its own, so that what one speaks the other recognises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import groupby

import numpy as np

from vivavoce.audio import pcm
from vivavoce.speech.interface import Hints, Sound, SpeechError, Transcript, Unspeakable, Voice, Word

NAME = "scripted"
SECONDS_PER_CHARACTER = 0.05
_LOWEST, _STEP, _MOST = 300.0, 8.0, 390  # Hz: all within a telephone's band
_LOUDNESS = 0.3
_QUIET = 0.02


class Tongue:
    """Which tone stands for which text."""

    def __init__(self) -> None:
        self._tones: dict[str, float] = {}

    def tone(self, text: str) -> float:
        """Hz; a new one for a text that has none."""
        if text not in self._tones:
            self._tones[text] = _LOWEST + _STEP * (len(self._tones) % _MOST)
        return self._tones[text]

    def text(self, tone: float) -> str:
        """ "" when no text has this tone, within half a step."""
        near = [(abs(known - tone), text) for text, known in self._tones.items()]
        distance, text = min(near, default=(_STEP, ""))
        return text if distance < _STEP / 2 else ""


class ScriptedSynthesizer:
    """`fails` says which of its utterances, counted from 0, raise what: before any sound, or after the first of `words`."""

    name = NAME
    provider = NAME

    def __init__(
        self,
        tongue: Tongue,
        *,
        name: str = NAME,
        delay: float = 0.0,
        fails: Mapping[int, SpeechError] | None = None,
        words: bool = False,
    ) -> None:
        self.name = name
        self.spoken: list[tuple[str, Voice]] = []
        self._tongue = tongue
        self._delay = delay
        self._fails = fails or {}
        self._is_by_word = words

    async def speak(self, text: str, voice: Voice) -> AsyncIterator[Sound]:
        self.spoken.append((text, voice))
        if not any(c.isalnum() for c in text):
            raise Unspeakable("There is nothing to say in this text.")
        await asyncio.sleep(self._delay)
        error = self._fails.get(len(self.spoken) - 1)
        for number, said in enumerate(text.split() if self._is_by_word else [text]):
            if error is not None and number == (1 if self._is_by_word else 0):
                raise error
            yield Sound(self.sound(said), self.name)

    def sound(self, text: str) -> bytes:
        """Never shorter than what a tone is recognised by."""
        count = max(0.3, len(text) * SECONDS_PER_CHARACTER) * pcm.RATE
        time = np.arange(round(count / pcm.FRAME) * pcm.FRAME) / pcm.RATE
        return pcm.of_floats(_LOUDNESS * np.sin(2 * np.pi * self._tongue.tone(text) * time))

    async def close(self) -> None: ...


class ScriptedRecognizer:
    """`says` turns what a tone stands for into what is recognised; by default that text. `fails` as above."""

    def __init__(
        self,
        tongue: Tongue,
        *,
        name: str = NAME,
        delay: float = 0.0,
        fails: Mapping[int, SpeechError] | None = None,
        says: Callable[[str], Transcript] | None = None,
    ) -> None:
        self.name = name
        self.hints: list[Hints] = []
        self._tongue = tongue
        self._delay = delay
        self._fails = fails or {}
        self._says = says

    def listen(self, hints: Hints) -> _Listening:
        self.hints.append(hints)
        return _Listening(self, hints, len(self.hints) - 1)

    async def close(self) -> None: ...

    async def recognise(self, sound: bytes, hints: Hints, number: int) -> Transcript:
        await asyncio.sleep(self._delay)
        if number in self._fails:
            raise self._fails[number]
        words = self._words(sound)
        text = " ".join(word.text for word in words)
        if self._says is not None:
            return self._says(text)
        return Transcript(
            text=text,
            alternatives=(text,) if text else (),
            confidence=1.0 if text else None,
            language=hints.language,
            words=tuple(words) if hints.needs_words else (),
            engine=self.name,
        )

    def _words(self, sound: bytes) -> list[Word]:
        """By pieces of 100 ms: each run of one tone is one text."""
        piece = 5 * pcm.FRAME
        tones = [_tone(sound[at : at + 2 * piece]) for at in range(0, len(sound), 2 * piece)]
        texts = [self._tongue.text(tone) if tone is not None else "" for tone in tones]
        found, at = [], 0
        for text, run in groupby(texts):
            length = len(list(run))
            # A piece on the border between two tones looks like a third.
            if text and length > 1:
                found.append(Word(text, at * piece / pcm.RATE, (at + length) * piece / pcm.RATE))
            at += length
        return found


def _tone(sound: bytes) -> float | None:
    values = pcm.floats(sound)
    if len(values) < pcm.FRAME or np.sqrt(np.mean(values * values)) < _QUIET:
        return None
    spectrum = np.abs(np.fft.rfft(values * np.hanning(len(values)), 1 << 15))
    return float(np.argmax(spectrum)) * pcm.RATE / (1 << 15)


class _Listening:
    def __init__(self, recognizer: ScriptedRecognizer, hints: Hints, number: int) -> None:
        self._recognizer = recognizer
        self._hints = hints
        self._number = number
        self._sound = bytearray()

    def feed(self, frame: bytes) -> None:
        self._sound += frame

    def pause(self) -> None: ...

    async def finish(self) -> Transcript:
        return await self._recognizer.recognise(bytes(self._sound), self._hints, self._number)

    async def close(self) -> None: ...
