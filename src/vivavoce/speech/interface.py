"""Speech engines: what recognises, what speaks, and what tells speech from silence. Sound is `audio.pcm` throughout."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from msgspec import Struct

from vivavoce.errors import VivavoceError


class SpeechError(VivavoceError):
    """An engine cannot do its work. `retryable` False: asking it again will not help."""

    code = "SPEECH_UNAVAILABLE"
    status = 503
    retryable = True
    is_engine_down = True  # for everybody, not for this text or language only


class Unspeakable(SpeechError):
    """The engine has no sound for this text: another engine may."""

    code = "SPEECH_UNSPEAKABLE"
    status = 400
    retryable = False
    is_engine_down = False


class LanguageUnknown(SpeechError):
    """The engine does not understand this language: another engine may."""

    code = "SPEECH_LANGUAGE_UNKNOWN"
    status = 400
    retryable = False
    is_engine_down = False


class Hints(Struct, frozen=True, kw_only=True):
    """What recognition may expect. Engines take of it what they can."""

    language: str = "en"  # BCP 47
    phrases: tuple[tuple[str, float], ...] = ()  # to listen for, and how strongly: 1 default, 2 boosted, 3 maximum
    kinds: tuple[str, ...] = ()  # of words: numeric, name_spelling, yes_no, ...
    model: str = ""  # an engine's own name of a model; "" is its default
    provider: str = ""  # whose model that is
    needs_words: bool = False


class Word(Struct, frozen=True):
    text: str
    start: float  # seconds from the first sample that was fed
    end: float


class Transcript(Struct, frozen=True, kw_only=True):
    """What was said. `words` are there when they were asked for."""

    text: str = ""
    alternatives: tuple[str, ...] = ()  # readings, best first, `text` among them
    confidence: float | None = None  # 0 to 1
    language: str = ""
    words: tuple[Word, ...] = ()
    engine: str = ""


class Listening(Protocol):
    """One utterance while it is heard."""

    def feed(self, frame: bytes) -> None:
        """Takes sound in and returns at once."""
        ...

    def pause(self) -> None:
        """The speaker has paused, perhaps for good: whoever can may begin to decide.

        What is fed between the last pause and `finish` is not speech.
        """
        ...

    async def finish(self) -> Transcript:
        """What was said in all that was fed. Raises SpeechError."""
        ...

    async def close(self) -> None:
        """Gives up what is still going on; safe after `finish`."""
        ...


class Recognizer(Protocol):
    name: str

    def listen(self, hints: Hints) -> Listening: ...

    async def close(self) -> None: ...


class Voice(Struct, frozen=True, kw_only=True):
    """Who speaks, and how. An engine takes only a voice of its own provider, or one that names none."""

    language: str = "en"
    provider: str = ""
    id: str = ""
    parameters: dict[str, Any] = {}


class Sound(Struct, frozen=True):
    """A piece of speech, of any length, and who made it."""

    pcm: bytes
    engine: str


class Synthesizer(Protocol):
    name: str
    provider: str  # as voices name it

    def speak(self, text: str, voice: Voice) -> AsyncIterator[Sound]:
        """Sound as it is made. Raises Unspeakable, or SpeechError, at any piece."""
        ...

    async def close(self) -> None: ...


class Detector(Protocol):
    """Follows one stream of sound."""

    def hear(self, frame: bytes) -> float:
        """The probability, 0 to 1, that there is speech in the frame."""
        ...


class VoiceActivity(Protocol):
    name: str

    def detector(self) -> Detector: ...
