"""An English voice on this machine: hibari-tts, whose one packaged voice needs no download."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vivavoce.audio import pcm
from vivavoce.audio.resampling import resampled
from vivavoce.speech.interface import Sound, SpeechError, Unspeakable, Voice

NAME = "hibari"
SEED = 0  # the same text sounds the same each time
MOST_CHARACTERS = 5_000
_LATIN_SHARE = 0.6  # of the letters: other scripts come out as silence


class HibariSynthesizer:
    name = NAME
    provider = NAME

    def __init__(self) -> None:
        try:
            from hibari import Hibari  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise SpeechError("Speech on this machine needs the voice extra: pip install 'vivavoce[voice]'.") from error
        self._engine: Any = Hibari()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="hibari")

    async def speak(self, text: str, voice: Voice) -> AsyncIterator[Sound]:
        if not voice.language.lower().startswith("en"):
            raise Unspeakable(f"{NAME} speaks English only, not {voice.language}.")
        if len(text) > MOST_CHARACTERS:
            raise Unspeakable(f"{NAME} takes at most {MOST_CHARACTERS:,} characters at once.")
        _check_script(text)
        speed = voice.parameters.get("speed", 1.0)
        speed = min(2.0, max(0.5, float(speed))) if isinstance(speed, (int, float)) else 1.0
        loop = asyncio.get_running_loop()
        pieces = self._pieces(text, speed)
        has_sound = False
        while True:
            try:
                piece = await loop.run_in_executor(self._executor, next, pieces, None)
            except (RuntimeError, ValueError, KeyError, IndexError) as error:
                raise SpeechError(f"{NAME} failed: {type(error).__name__}.") from error
            if piece is None:
                break
            has_sound = True
            yield Sound(piece, NAME)
        if not has_sound:
            raise Unspeakable(f"{NAME} has no sound for this text.")

    def _pieces(self, text: str, speed: float) -> Iterator[bytes]:
        for values in self._engine.stream(text, speed, SEED):
            if len(values):
                yield pcm.of_floats(resampled(values, self._engine.sample_rate))

    async def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def _check_script(text: str) -> None:
    letters = [c for c in text if c.isalpha()]
    latin = sum(unicodedata.name(c, "").startswith("LATIN") for c in letters)
    if not any(c.isalnum() for c in text) or latin < len(letters) * _LATIN_SHARE:
        raise Unspeakable(f"{NAME} has no sound for this text.")
