"""What the hosted engines share: HTTP whose failures are told apart by what helps, and hostile voices made harmless."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import msgspec

from vivavoce.audio import pcm
from vivavoce.audio.resampling import Resampler
from vivavoce.speech.interface import SpeechError, Unspeakable, Voice

TIMEOUT_SECONDS = 10.0
_BUSY = {408, 409, 425, 429}
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MODEL = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Refused(SpeechError):
    """However often the provider is asked, it will not do this."""

    retryable = False
    is_engine_down = False


class KeyRefused(Refused):
    """Nor anything else."""

    is_engine_down = True


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
            return KeyRefused(f"{self._name} did not accept the key (status {status}); check {self._variable}.")
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
