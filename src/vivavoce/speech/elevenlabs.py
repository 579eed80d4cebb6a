"""Speech by ElevenLabs, streamed over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from vivavoce.speech.hosted import TIMEOUT_SECONDS, Http, language_of, model_id, numbers, sayable, voice_id
from vivavoce.speech.interface import Sound, Voice

NAME = "elevenlabs"
BASE_URL = "https://api.elevenlabs.io"
MODEL = "eleven_flash_v2_5"
VOICE = "JBFqnCBsd6RMkjVDRZzb"  # the one of the provider's own examples
FORMAT = "pcm_16000"  # the house's own
_SETTINGS = {"stability": (0.0, 1.0), "similarity_boost": (0.0, 1.0), "speed": (0.7, 1.2)}
_WITHOUT_LANGUAGE = "multilingual_v2"  # models that go by the text alone


class ElevenLabsSynthesizer:
    name = NAME
    provider = NAME

    def __init__(
        self,
        *,
        key: str,
        base_url: str = BASE_URL,
        model: str = MODEL,
        voice: str = VOICE,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/v1/text-to-speech"
        self._model = model
        self._voice = voice
        self._http = Http(NAME, variable="ELEVENLABS_API_KEY", headers={"xi-api-key": key}, timeout=timeout)

    async def speak(self, text: str, voice: Voice) -> AsyncIterator[Sound]:
        body = self._body(sayable(text, voice, NAME), voice)
        url = f"{self._url}/{voice_id(voice, NAME, self._voice)}/stream?output_format={FORMAT}"
        async with aclosing(self._http.sound(url, body)) as pieces:
            async for piece in pieces:
                yield Sound(piece, NAME)

    def _body(self, text: str, voice: Voice) -> dict[str, Any]:
        model = model_id(voice, self._model)
        body: dict[str, Any] = {"text": text, "model_id": model}
        if voice.language and _WITHOUT_LANGUAGE not in model:
            body["language_code"] = language_of(voice.language)
        settings = numbers(voice, _SETTINGS)
        if settings:
            body["voice_settings"] = settings
        return body

    async def close(self) -> None:
        await self._http.close()
