"""Recognition and speech by OpenAI and every server that speaks the same, with the HTTP that the hosted engines share."""

from __future__ import annotations

import asyncio
import io
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from vivavoce.audio import pcm, wav
from vivavoce.audio.resampling import Resampler
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
TIMEOUT_SECONDS = 10.0
_BUSY = {408, 409, 425, 429}
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MODEL = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Refused(SpeechError):
    """However often the provider is asked, it will not do this."""

    retryable = False


class Http:
    """One provider's connections, and its failures told apart by what helps.

    Neither its words nor the cause of an error are passed on: they may repeat the text or the key.
    """

    def __init__(self, name: str, *, variable: str, headers: dict[str, str], timeout: float) -> None:
        self._name = name
        self._variable = variable
        self._headers = headers
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No total: sound may be taken in no faster than it is heard.
            limits = aiohttp.ClientTimeout(total=None, connect=self._timeout, sock_read=self._timeout)
            self._session = aiohttp.ClientSession(
                timeout=limits, headers=self._headers, connector=aiohttp.TCPConnector(limit=256)
            )
        return self._session

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Whatever goes wrong on the network inside is a SpeechError."""
        try:
            yield
        except aiohttp.WSServerHandshakeError as error:
            raise self._refusal(error.status, "") from None
        except TimeoutError:
            raise SpeechError(f"{self._name} did not answer within {self._timeout:g} s.") from None
        except aiohttp.ClientError as error:
            raise SpeechError(f"The connection to {self._name} failed ({type(error).__name__}).") from None

    @asynccontextmanager
    async def post(self, url: str, **request: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """A reply of status 200."""
        with self.guarded():
            async with self.session.post(url, allow_redirects=False, **request) as reply:
                if reply.status != 200:
                    raise self._refusal(reply.status, reply.headers.get("retry-after", ""))
                yield reply

    async def sound(self, url: str, body: dict[str, Any], *, rate: int = pcm.RATE) -> AsyncGenerator[bytes, None]:
        """PCM as it arrives, at the house's rate and in pieces of whole samples; `rate` is the provider's."""
        resampler = Resampler(rate, pcm.RATE)
        half, has_sound = b"", False
        headers = {"content-type": "application/json"}
        async with self.post(url, data=msgspec.json.encode(body), headers=headers) as reply:
            if reply.content_type == "application/json" or reply.content_type.startswith("text/"):
                # Played, it would be a loud noise in somebody's ear.
                raise SpeechError(f"{self._name} answered with {reply.content_type}, not with sound.")
            async for part in reply.content.iter_any():
                part = half + part
                whole = len(part) - len(part) % pcm.SAMPLE_BYTES
                half = part[whole:]
                piece = resampler.feed(part[:whole])
                if piece:
                    has_sound = True
                    yield piece
        piece = resampler.flush()
        if piece:
            yield piece
        if not has_sound and not piece:
            raise Unspeakable(f"{self._name} has no sound for this text.")

    def _refusal(self, status: int, wait: str) -> SpeechError:
        if status in (401, 403):
            return Refused(f"{self._name} did not accept the key (status {status}); check {self._variable}.")
        if status in _BUSY or status >= 500:
            seconds = float(wait) if wait.isdigit() else None
            return SpeechError(f"{self._name} answered with status {status}.", retry_after=seconds)
        return Refused(
            f"{self._name} refused the request with status {status}; check the model, the voice, the language and the base URL."
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # lets the transports close
            self._session = None


def sayable(text: str, voice: Voice, provider: str) -> str:
    """The text as it can be sent. Raises Unspeakable when this provider cannot say it in this voice."""
    if voice.provider not in ("", provider):
        raise Unspeakable(f"{provider} has only voices of its own.")
    if not any(c.isalnum() for c in text):
        raise Unspeakable(f"{provider} has no sound for this text.")
    return text.encode(errors="replace").decode()


def voice_id(voice: Voice, provider: str, default: str) -> str:
    """Author code chooses it, and it becomes a part of URLs."""
    if voice.id and not _ID.fullmatch(voice.id):
        raise Unspeakable(f"The voice's id is none of {provider}'s: letters, digits, - and _ are, up to 64.")
    return voice.id or default


def model_id(voice: Voice, default: str) -> str:
    asked = voice.parameters.get("model_id")
    return asked if isinstance(asked, str) and _MODEL.fullmatch(asked) else default


def numbers(voice: Voice, ranges: dict[str, tuple[float, float]]) -> dict[str, float]:
    """The parameters of these names that are numbers, brought within what the provider takes."""
    found = {}
    for name, (least, most) in ranges.items():
        value = voice.parameters.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            found[name] = min(most, max(least, float(value)))
    return found


def language_of(tag: str) -> str:
    """ "en-GB" is "en": what providers call a language."""
    return tag.split("-")[0].lower()


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
        except msgspec.MsgspecError:
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
