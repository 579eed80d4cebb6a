"""Recognition by Deepgram while somebody speaks: one WebSocket for each utterance."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import aiohttp
import msgspec
from msgspec import Struct

from vivavoce.audio import pcm
from vivavoce.errors import NOT_JSON
from vivavoce.speech.hosted import TIMEOUT_SECONDS, Http, language_of
from vivavoce.speech.interface import Hints, SpeechError, Transcript, Word

NAME = "deepgram"
BASE_URL = "wss://api.deepgram.com"
MODEL = "nova-3"
PIECE_BYTES = 4 * 1600 * pcm.SAMPLE_BYTES  # 400 ms: sent at once when there is more
MOST_WAITING_BYTES = 300 * pcm.RATE * pcm.SAMPLE_BYTES  # 5 minutes: a fallback may hand over a whole utterance
MOST_KEYTERM_BYTES = 1_000  # of phrases: well within the 500 tokens that are taken
MOST_KEYWORDS = 100
_REGIONAL = frozenset(  # that it lists
    [
        "en-au",
        "en-gb",
        "en-in",
        "en-nz",
        "en-us",
        "da-dk",
        "de-ch",
        "es-419",
        "fr-ca",
        "ko-kr",
        "nl-be",
        "pt-br",
        "pt-pt",
        "sv-se",
        "th-th",
        "zh-cn",
        "zh-hans",
        "zh-tw",
        "zh-hant",
        "zh-hk",
    ]
)
CLOSE_SECONDS = 1.0  # for saying goodbye, when the transcript is there already
_FINALIZE = '{"type":"Finalize"}'
_CLOSE = '{"type":"CloseStream"}'


class _Kind(Struct):
    type: str = ""


class _Word(Struct):
    word: str
    start: float
    end: float
    punctuated_word: str | None = None


class _Alternative(Struct):
    transcript: str = ""
    confidence: float = 0.0
    words: list[_Word] = []


class _Channel(Struct):
    alternatives: list[_Alternative] = []


class _Results(Struct):
    channel: _Channel
    is_final: bool | None = None
    from_finalize: bool | None = None


_kind = msgspec.json.Decoder(_Kind).decode
_results = msgspec.json.Decoder(_Results).decode


class DeepgramRecognizer:
    name = NAME

    def __init__(
        self, *, key: str, base_url: str = BASE_URL, model: str = MODEL, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/v1/listen"
        self._model = model
        self._timeout = timeout
        headers = {"authorization": f"Token {key}"}
        self._http = Http(NAME, variable="DEEPGRAM_API_KEY", headers=headers, timeout=timeout)
        self._conversations: set[asyncio.Task[None]] = set()

    def listen(self, hints: Hints) -> _Listening:
        query = urlencode(_parameters(hints, hints.model or self._model), errors="replace")
        listening = _Listening(self._http, f"{self._url}?{query}", hints, self._timeout)
        self._conversations.add(listening.conversation)
        listening.conversation.add_done_callback(self._conversations.discard)
        return listening

    async def close(self) -> None:
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await self._http.close()


def _language(tag: str) -> str:
    """A regional tag that it does not list is refused: then the language alone."""
    return tag if tag.lower() in _REGIONAL else language_of(tag)


def _parameters(hints: Hints, model: str) -> list[tuple[str, str]]:
    found = [
        ("model", model),
        ("language", _language(hints.language)),
        ("encoding", "linear16"),
        ("sample_rate", str(pcm.RATE)),
        ("channels", "1"),
        ("interim_results", "true"),
        ("punctuate", "true"),
        ("smart_format", "true"),
    ]
    phrases = sorted(hints.phrases, key=lambda item: -item[1])
    if model.startswith("nova-3"):
        left = MOST_KEYTERM_BYTES
        for phrase, _ in phrases:
            left -= len(phrase.encode(errors="replace"))
            if left >= 0:
                found.append(("keyterm", phrase))
        return found
    # A keyword is one word, and a colon ends it.
    boosts = [(w, boost) for phrase, boost in phrases for w in phrase.replace(":", " ").split()]
    return found + [("keywords", f"{word}:{boost:g}") for word, boost in boosts[:MOST_KEYWORDS]]


class _Listening:
    """Talks to the provider in a task of its own, so that nobody waits for the network before the end."""

    def __init__(self, http: Http, url: str, hints: Hints, timeout: float) -> None:
        self._http = http
        self._url = url
        self._hints = hints
        self._timeout = timeout
        self._waiting = bytearray()
        self._news = asyncio.Event()
        self._has_sound = False
        self._is_finished = False
        # An error is a result too: there may be nobody to raise it to.
        self._outcome: asyncio.Future[Transcript | SpeechError] = asyncio.get_running_loop().create_future()
        self.conversation = asyncio.create_task(self._converse())

    def feed(self, frame: bytes) -> None:
        if self._outcome.done():
            return
        self._has_sound = self._has_sound or bool(frame)
        self._waiting += frame
        self._news.set()
        if len(self._waiting) > MOST_WAITING_BYTES:
            self._settle(SpeechError(f"{NAME} does not take the sound in as fast as it comes."))
            self.conversation.cancel()

    def pause(self) -> None: ...

    async def finish(self) -> Transcript:
        if not self._has_sound:
            await self.close()
            return Transcript(engine=NAME, language=self._hints.language)
        self._is_finished = True
        self._news.set()
        await asyncio.wait([self._outcome], timeout=self._timeout)
        if not self._outcome.done():
            await self.close()
            raise SpeechError(f"{NAME} did not answer within {self._timeout:g} s.")
        outcome = self._outcome.result()
        if isinstance(outcome, SpeechError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Once the transcript is there, the conversation comes to its end by itself."""
        if not self._outcome.done():
            self.conversation.cancel()

    def _settle(self, outcome: Transcript | SpeechError) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    async def _converse(self) -> None:
        try:
            async with await self._connect() as socket:
                sending = asyncio.create_task(self._send(socket))
                try:
                    self._settle(await self._hear(socket))
                finally:
                    sending.cancel()
        except SpeechError as error:
            self._settle(error)
        finally:
            self._settle(SpeechError(f"Recognition by {NAME} was given up."))

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        limits = aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS)
        with self._http.guarded():
            async with asyncio.timeout(self._timeout):
                return await self._http.session.ws_connect(self._url, timeout=limits)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting:  # never an empty message: it ends the stream
                    piece = bytes(self._waiting[:PIECE_BYTES])
                    del self._waiting[:PIECE_BYTES]
                    await socket.send_bytes(piece)
                if self._is_finished:
                    # `Finalize` is answered only when much sound is pending, `CloseStream` always.
                    await socket.send_str(_FINALIZE)
                    await socket.send_str(_CLOSE)
                    return
        except (aiohttp.ClientError, ConnectionError):
            pass  # whoever reads from the socket finds it closed

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> Transcript | SpeechError:
        finals: list[list[_Alternative]] = []
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            try:
                kind = _kind(message.data).type
                results = _results(message.data) if kind == "Results" else None
            except NOT_JSON:
                return SpeechError(f"{NAME} answered with something that is not part of its protocol.")
            if results is not None and results.is_final:
                finals.append(results.channel.alternatives)
            if kind == "Metadata" or (results is not None and results.from_finalize):
                return _transcript(finals, self._hints)
        return SpeechError(f"{NAME} broke the connection off (code {socket.close_code}).")


def _transcript(finals: list[list[_Alternative]], hints: Hints) -> Transcript:
    """The pieces of the utterance, one after the other; the n-th reading is made of the n-th of each, or of its first."""
    pieces = [readings for readings in finals if readings and readings[0].transcript]
    count = max((len(readings) for readings in pieces), default=0)
    texts = [" ".join((r[n] if n < len(r) else r[0]).transcript for r in pieces) for n in range(count)]
    weights = [max(1, len(readings[0].words)) for readings in pieces]
    sure = sum(readings[0].confidence * weight for readings, weight in zip(pieces, weights, strict=True))
    return Transcript(
        text=texts[0] if texts else "",
        alternatives=tuple(dict.fromkeys(texts)),
        confidence=round(sure / sum(weights), 3) if pieces else None,
        language=hints.language,
        words=tuple(Word(w.punctuated_word or w.word, w.start, w.end) for r in pieces for w in r[0].words)
        if hints.needs_words
        else (),
        engine=NAME,
    )
