"""Recognition and speech by OpenAI, and by every server that speaks as it does."""

from __future__ import annotations

import io
import math
from collections.abc import AsyncIterator
from contextlib import aclosing

import aiohttp
import msgspec
from msgspec import Struct

from vivavoce.audio import pcm, wav
from vivavoce.errors import NOT_JSON
from vivavoce.speech.hosted import TIMEOUT_SECONDS, Http, language_of, model_id, numbers, sayable, voice_id
from vivavoce.speech.interface import Hints, Sound, SpeechError, Transcript, Unspeakable, Voice, Word

NAME = "openai"
BASE_URL = "https://api.openai.com/v1"
RECOGNITION_MODEL = "gpt-4o-mini-transcribe"
WORDS_MODEL = "whisper-1"  # the only one that tells when each word was said
SPEECH_MODEL = "gpt-4o-mini-tts"
VOICE = "alloy"
SPEECH_RATE = 24_000  # samples a second of its pcm
LEAST_SECONDS = 0.1  # of sound: what is shorter is refused
MOST_CHARACTERS = 4_096
MOST_PROMPT_CHARACTERS = 600  # whisper reads no more than 224 tokens


class _Logprob(Struct):
    logprob: float | None = None


class _Word(Struct):
    word: str
    start: float
    end: float


class _Transcription(Struct):
    text: str
    logprobs: list[_Logprob] | None = None
    words: list[_Word] | None = None


_decode = msgspec.json.Decoder(_Transcription).decode


class OpenAIRecognizer:
    """Hears an utterance once it is over."""

    name = NAME

    def __init__(
        self,
        *,
        key: str,
        base_url: str = BASE_URL,
        model: str = RECOGNITION_MODEL,
        words_model: str = WORDS_MODEL,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/audio/transcriptions"
        self._model = model
        self._words_model = words_model
        self._timeout = timeout
        headers = {"authorization": f"Bearer {key}"}
        self._http = Http(NAME, variable="OPENAI_API_KEY", headers=headers, timeout=timeout)

    def listen(self, hints: Hints) -> _Listening:
        return _Listening(self, hints)

    async def recognise(self, sound: bytes, hints: Hints) -> Transcript:
        if pcm.seconds(sound) < LEAST_SECONDS:
            return Transcript(engine=NAME, language=hints.language)
        form = aiohttp.FormData({name: value for name, value in self._fields(hints).items() if value})
        file = io.BytesIO(wav.of(sound))  # which is read off the loop, as long as it may be
        form.add_field("file", file, filename="speech.wav", content_type=wav.MEDIA_TYPE)
        limits = aiohttp.ClientTimeout(total=self._timeout)
        async with self._http.post(self._url, data=form, timeout=limits) as reply:
            answer = await reply.read()
        try:
            found = _decode(answer)
        except NOT_JSON:
            raise SpeechError(f"{NAME} answered with something else than a transcript.") from None
        text = found.text.strip()
        chances = [item.logprob for item in found.logprobs or () if item.logprob is not None]
        return Transcript(
            text=text,
            alternatives=(text,) if text else (),
            confidence=round(math.exp(sum(chances) / len(chances)), 3) if chances and text else None,
            language=hints.language,
            words=tuple(Word(w.word.strip(), w.start, w.end) for w in found.words or ()) if hints.needs_words else (),
            engine=NAME,
        )

    def _fields(self, hints: Hints) -> dict[str, str]:
        model = hints.model or (self._words_model if hints.needs_words else self._model)
        # The newer models give tokens and their chances, whisper words and their times: neither gives both.
        has_chances = model.startswith("gpt-4o") and "diarize" not in model
        return {
            "model": model,
            "language": language_of(hints.language),
            "prompt": _prompt(hints, is_list=model.startswith("whisper")),
            "response_format": "verbose_json" if hints.needs_words else "json",
            "timestamp_granularities[]": "word" if hints.needs_words else "",
            "include[]": "logprobs" if has_chances and not hints.needs_words else "",
        }

    async def close(self) -> None:
        await self._http.close()


def _prompt(hints: Hints, *, is_list: bool) -> str:
    """The phrases that matter most: as words that whisper takes up, or as a remark to models that understand one."""
    phrases: list[str] = []
    for phrase, _ in sorted(hints.phrases, key=lambda item: -item[1]):
        if sum(len(p) + 2 for p in phrases) + len(phrase) <= MOST_PROMPT_CHARACTERS:
            phrases.append(phrase)
    listed = ", ".join(phrases).encode(errors="replace").decode()
    return listed if is_list or not listed else f"Expect these words: {listed}."


class _Listening:
    def __init__(self, recognizer: OpenAIRecognizer, hints: Hints) -> None:
        self._recognizer = recognizer
        self._hints = hints
        self._sound = bytearray()

    def feed(self, frame: bytes) -> None:
        self._sound += frame

    def pause(self) -> None: ...

    async def finish(self) -> Transcript:
        return await self._recognizer.recognise(bytes(self._sound), self._hints)

    async def close(self) -> None: ...


class OpenAISynthesizer:
    name = NAME
    provider = NAME

    def __init__(
        self, *, key: str, base_url: str = BASE_URL, model: str = SPEECH_MODEL, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/audio/speech"
        self._model = model
        headers = {"authorization": f"Bearer {key}"}
        self._http = Http(NAME, variable="OPENAI_API_KEY", headers=headers, timeout=timeout)

    async def speak(self, text: str, voice: Voice) -> AsyncIterator[Sound]:
        if len(text) > MOST_CHARACTERS:
            raise Unspeakable(f"{NAME} takes at most {MOST_CHARACTERS:,} characters at once.")
        chosen = voice_id(voice, NAME, VOICE)
        body = {
            "model": model_id(voice, self._model),
            "input": sayable(text, voice, NAME),
            "voice": {"id": chosen} if chosen.startswith("voice_") else chosen,  # made by the account itself
            "response_format": "pcm",
            **numbers(voice, {"speed": (0.25, 4.0)}),
        }
        async with aclosing(self._http.sound(self._url, body, rate=SPEECH_RATE)) as pieces:
            async for piece in pieces:
                yield Sound(piece, NAME)

    async def close(self) -> None:
        await self._http.close()
