"""Which engines hear and speak in calls: what the settings name, else those that have a key, with the embedded ones behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

from vivavoce.errors import UsageError
from vivavoce.settings import Settings
from vivavoce.speech import espeak
from vivavoce.speech.fallback import FallbackRecognizer, FallbackSynthesizer
from vivavoce.speech.interface import Recognizer, SpeechError, Synthesizer, VoiceActivity
from vivavoce.voice.call import Engines

log = logging.getLogger(__name__)
T = TypeVar("T")


class Loaded:
    """The engines, loaded when they are first asked for, and then the same for everybody."""

    def __init__(self, make: Callable[[], Engines]) -> None:
        self._make = make
        self._engines: Engines | None = None
        self._lock = asyncio.Lock()

    async def __call__(self) -> Engines:
        """Raises SpeechError with the remedy where there are none."""
        async with self._lock:
            if self._engines is None:
                self._engines = await asyncio.to_thread(self._make)
        return self._engines

    async def close(self) -> None:
        if self._engines is not None:
            await self._engines.recognizer.close()
            await self._engines.synthesizer.close()


def make_engines(settings: Settings) -> Engines:
    """Loads them, which takes a second or two. Raises SpeechError with the remedy where there is none for one of the two."""
    return Engines(
        recognizer=FallbackRecognizer(_recognizers(settings)),
        synthesizer=FallbackSynthesizer(_synthesizers(settings)),
        activity=make_activity(),
    )


def can_speak(settings: Settings) -> bool:
    """Whether there is a synthesizer, without loading it."""
    has_key = settings.elevenlabs_api_key or settings.cartesia_api_key or settings.openai_api_key
    return bool(settings.synthesizers or has_key) or find_spec("hibari") is not None or espeak.is_installed()


def make_activity() -> VoiceActivity:
    from vivavoce.speech.loudness import LoudnessActivity  # noqa: PLC0415
    from vivavoce.speech.silero import SileroActivity  # noqa: PLC0415  # an extra

    try:
        return SileroActivity()
    except SpeechError as error:
        log.warning("speech is told from silence by loudness alone: %s", error.message)
        return LoudnessActivity()


def _recognizers(settings: Settings) -> list[Recognizer]:
    """Those with a key of their own before the one of the model, whose server may be anybody's."""
    makers: dict[str, tuple[bool, Callable[[], Recognizer]]] = {
        "deepgram": (bool(settings.deepgram_api_key), lambda: _deepgram(settings)),
        "openai": (_has_openai(settings), lambda: _openai_recognizer(settings)),
        "whisper": (True, _whisper),
    }
    return _made(makers, settings.recognizers, "VIVAVOCE_RECOGNIZERS")


def _synthesizers(settings: Settings) -> list[Synthesizer]:
    makers: dict[str, tuple[bool, Callable[[], Synthesizer]]] = {
        "elevenlabs": (bool(settings.elevenlabs_api_key), lambda: _elevenlabs(settings)),
        "cartesia": (bool(settings.cartesia_api_key), lambda: _cartesia(settings)),
        "openai": (_has_openai(settings), lambda: _openai_synthesizer(settings)),
        "hibari": (True, _hibari),
        "espeak-ng": (espeak.is_installed(), espeak.EspeakSynthesizer),
    }
    return _made(makers, settings.synthesizers, "VIVAVOCE_SYNTHESIZERS")


def _has_openai(settings: Settings) -> bool:
    """The key may be for another server, which only writes."""
    return bool(settings.openai_api_key) and "api.openai.com" in settings.openai_base_url


def _made(makers: dict[str, tuple[bool, Callable[[], T]]], named: tuple[str, ...], variable: str) -> list[T]:
    """Those that are named must all be there; of the others, as many as can be had."""
    for name in named:
        if name not in makers:
            raise UsageError(f"{variable} names {name!r}; there are {', '.join(makers)}.")
    if named:
        return [makers[name][1]() for name in named]
    found, missing = [], SpeechError("There is no engine.")
    for is_there, make in makers.values():
        if is_there:
            try:
                found.append(make())
            except SpeechError as error:
                missing = error
    if not found:
        raise missing
    return found


def _key(name: str, variable: str, key: str | None) -> str:
    if not key:
        raise UsageError(f"{name} needs {variable}.")
    return key


def _deepgram(settings: Settings) -> Recognizer:
    from vivavoce.speech.deepgram import DeepgramRecognizer  # noqa: PLC0415  # one adapter is loaded, not all

    key = _key("deepgram", "DEEPGRAM_API_KEY", settings.deepgram_api_key)
    return DeepgramRecognizer(key=key, base_url=settings.deepgram_url)


def _openai_recognizer(settings: Settings) -> Recognizer:
    from vivavoce.speech.openai import OpenAIRecognizer  # noqa: PLC0415

    key = _key("openai", "OPENAI_API_KEY", settings.openai_api_key)
    return OpenAIRecognizer(key=key, base_url=settings.openai_base_url)


def _whisper() -> Recognizer:
    from vivavoce.speech.whisper import WhisperRecognizer  # noqa: PLC0415

    return WhisperRecognizer()


def _elevenlabs(settings: Settings) -> Synthesizer:
    from vivavoce.speech.elevenlabs import ElevenLabsSynthesizer  # noqa: PLC0415

    key = _key("elevenlabs", "ELEVENLABS_API_KEY", settings.elevenlabs_api_key)
    return ElevenLabsSynthesizer(key=key, base_url=settings.elevenlabs_url)


def _cartesia(settings: Settings) -> Synthesizer:
    from vivavoce.speech.cartesia import CartesiaSynthesizer  # noqa: PLC0415

    key = _key("cartesia", "CARTESIA_API_KEY", settings.cartesia_api_key)
    return CartesiaSynthesizer(key=key, base_url=settings.cartesia_url)


def _openai_synthesizer(settings: Settings) -> Synthesizer:
    from vivavoce.speech.openai import OpenAISynthesizer  # noqa: PLC0415

    key = _key("openai", "OPENAI_API_KEY", settings.openai_api_key)
    return OpenAISynthesizer(key=key, base_url=settings.openai_base_url)


def _hibari() -> Synthesizer:
    from vivavoce.speech.hibari import HibariSynthesizer  # noqa: PLC0415

    return HibariSynthesizer()
