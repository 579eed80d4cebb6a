"""Speech by Cartesia, over the endpoint that its documentation advises for whole texts: raw bytes, streamed as they are made."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from vivavoce.audio import pcm
from vivavoce.speech.hosted import TIMEOUT_SECONDS, Http, language_of, model_id, numbers, sayable, voice_id
from vivavoce.speech.interface import Sound, Voice

NAME = "cartesia"
BASE_URL = "https://api.cartesia.ai"
VERSION = "2026-03-01"  # of the API: the shape of requests and errors that this was written for
MODEL = "sonic-3"
VOICE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"  # the one of the provider's own examples
_FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": pcm.RATE}
_CONTROLS = {"speed": (0.6, 1.5), "volume": (0.5, 2.0)}  # sonic-3 heeds them; earlier models ignore them
_SPEEDS = ("slow", "normal", "fast")  # what earlier models heed
_EMOTION = re.compile(r"[A-Za-z]{1,32}")


class CartesiaSynthesizer:
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
        self._url = f"{base_url.rstrip('/')}/tts/bytes"
        self._model = model
        self._voice = voice
        headers = {"authorization": f"Bearer {key}", "cartesia-version": VERSION}
        self._http = Http(NAME, variable="CARTESIA_API_KEY", headers=headers, timeout=timeout)

    async def speak(self, text: str, voice: Voice) -> AsyncIterator[Sound]:
        body = self._body(sayable(text, voice, NAME), voice)
        async with aclosing(self._http.sound(self._url, body)) as pieces:
            async for piece in pieces:
                yield Sound(piece, NAME)

    def _body(self, text: str, voice: Voice) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model_id": model_id(voice, self._model),
            "transcript": text,
            "voice": {"mode": "id", "id": voice_id(voice, NAME, self._voice)},
            "output_format": _FORMAT,
        }
        if voice.language:
            body["language"] = language_of(voice.language)
        controls: dict[str, Any] = {**numbers(voice, _CONTROLS)}
        emotion, speed = voice.parameters.get("emotion"), voice.parameters.get("speed")
        if isinstance(emotion, str) and _EMOTION.fullmatch(emotion):
            controls["emotion"] = emotion.lower()
        if controls:
            body["generation_config"] = controls
        if speed in _SPEEDS:
            body["speed"] = speed
        return body

    async def close(self) -> None:
        await self._http.close()
