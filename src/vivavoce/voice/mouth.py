"""The agent's side of a call: words become sound in the order in which they come, and sound becomes frames."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from msgspec import Struct

from vivavoce.audio import pcm, tones
from vivavoce.speech.interface import SpeechError, Synthesizer
from vivavoce.voice.conduct import Saying
from vivavoce.voice.dtmf import MOST_KEYS
from vivavoce.voice.playout import Piece, Playout
from vivavoce.voice.pronouncing import pronounced, readable, sentences

log = logging.getLogger(__name__)
KEY_SECONDS, GAP_SECONDS = 0.12, 0.08


class Marks(Struct, kw_only=True):
    """When things happened to a reply, in seconds of whatever clock; None while they have not."""

    asked: float
    first_text: float | None = None
    first_sound: float | None = None
    first_frame: float | None = None


class Mouth:
    def __init__(
        self, synthesizer: Synthesizer, *, failed: Callable[[SpeechError], None], seconds: Callable[[], float]
    ) -> None:
        self._synthesizer = synthesizer
        self._failed = failed
        self._seconds = seconds
        self.playout = Playout()
        self.marks = Marks(asked=0.0)
        self.engine = ""
        self.has_spoken = False  # something of this reply came out as sound
        self._waiting: asyncio.Queue[tuple[Piece, Saying]] = asyncio.Queue()
        self._task = asyncio.create_task(self._speak_all())

    def begin(self, asked: float) -> None:
        """A new reply."""
        self.playout.begin()
        self.marks = Marks(asked=asked)
        self.has_spoken = False

    def say(self, saying: Saying) -> None:
        if not saying.is_interim and self.marks.first_text is None:
            self.marks.first_text = self._seconds()
        if saying.digits:
            piece = Piece("", is_interim=True, is_keys=True)
            for key in saying.digits[:MOST_KEYS]:
                if key in "0123456789*#ABCD":
                    piece.add(tones.tone(key, seconds=KEY_SECONDS) + pcm.silence(round(GAP_SECONDS * pcm.RATE)))
            piece.complete()
            self.playout.add(piece)
        # Each sentence is a piece of its own: the first is heard while the others are made.
        for text in sentences(saying.text):
            piece = Piece(text, is_interim=saying.is_interim)
            self.playout.add(piece)
            self._waiting.put_nowait((piece, saying))

    async def _speak_all(self) -> None:
        while True:
            piece, saying = await self._waiting.get()
            if piece.is_dropped:
                continue
            try:
                await self._speak(piece, saying)
            except SpeechError as error:
                piece.has_failed = True
                self._failed(error)
            except Exception as error:  # whatever it is, the next sentence has to be spoken
                log.error("a sentence could not be spoken: %s", type(error).__name__, exc_info=error)
                piece.has_failed = True
                self._failed(SpeechError(f"Speaking failed: {type(error).__name__}."))
            finally:
                piece.complete()

    async def _speak(self, piece: Piece, saying: Saying) -> None:
        text = readable(pronounced(piece.text, saying.pronunciations, saying.voice.language))
        if not any(c.isalnum() for c in text):
            self.has_spoken = True  # there was nothing to speak: an empty pronunciation, a dash
            return
        source = self._synthesizer.speak(text, saying.voice)
        engine = ""
        try:
            async for sound in source:
                if piece.is_dropped:
                    return
                if engine and sound.engine != engine:  # another engine says it all again
                    piece.restart()
                engine = self.engine = sound.engine
                piece.add(sound.pcm)
                self.has_spoken = True
                if not piece.is_interim and self.marks.first_sound is None:
                    self.marks.first_sound = self._seconds()
        finally:
            await source.aclose()  # type: ignore[attr-defined]  # an async generator

    def frame(self, now: int) -> bytes | None:
        frame = self.playout.frame(now)
        if frame is not None and self.playout.start is not None and self.marks.first_frame is None:
            self.marks.first_frame = self._seconds()
        return frame

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
