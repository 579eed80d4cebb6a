"""Speech providers as they look from the other side of the wire, with a tongue: what they speak they also recognise.

Field names, limits and the order of messages are those of the providers' documentation.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import WSMsgType, web
from msgspec import Struct

from vivavoce.audio import pcm, wav
from vivavoce.audio.resampling import resampled
from vivavoce.speech.interface import Hints, Transcript
from vivavoce.speech.scripted import ScriptedRecognizer, ScriptedSynthesizer, Tongue

KEY = "sk-this-is-the-secret"
DEEPGRAM_LANGUAGES = ("en", "en-US", "en-GB", "de", "fr", "multi")
ISO_639_1 = ("en", "de", "fr", "ja")
OPENAI_VOICES = ("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse")
CHUNK_BYTES = 3_001  # odd, so that pieces end in the middle of a sample
PAUSE_BYTES = 9_600  # 300 ms
LOGPROB = -0.105  # of each token: about 0.9


class Asked(Struct):
    """A request as it came."""

    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    fields: dict[str, Any]


class SpeechServer:
    """All of them behind one address. `failure` befalls what is asked next: a status, or one of

    - "cut": the connection breaks off in the midst of the answer
    - "hang": no answer
    - "garbage": what is no part of the protocol
    - "shape": JSON of another shape
    """

    def __init__(self, tongue: Tongue) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.failure: int | str = 0
        self.messages: list[str] = []  # kinds of those that Deepgram's side got; "audio", "gone"
        self._released = asyncio.Event()
        self._recognizer = ScriptedRecognizer(tongue)
        self._synthesizer = ScriptedSynthesizer(tongue)

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def release(self) -> None:
        """Lets go of those that hang."""
        self._released.set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/listen", self._deepgram),
            web.post("/v1/audio/transcriptions", self._transcriptions),
            web.post("/v1/audio/speech", self._openai_speech),
            web.post("/v1/text-to-speech/{voice}/stream", self._elevenlabs),
            web.post("/tts/bytes", self._cartesia),
        ]

    async def _take(self, request: web.Request, key: str) -> dict[str, Any]:
        """Its fields. Raises what the provider answers when it does not get that far."""
        form = request.content_type == "multipart/form-data"
        if form:
            posted = await request.post()
            fields: dict[str, Any] = {name: posted.getall(name) for name in posted}
        else:
            fields = msgspec.json.decode(await request.read() or b"{}")
        query = [(name, value) for name, value in request.query.items()]
        self.asked.append(Asked(request.path, query, {k.lower(): v for k, v in request.headers.items()}, fields))
        if self.failure == "hang":
            await self._released.wait()
        if isinstance(self.failure, int) and self.failure:
            raise _error(self.failure, str(fields))
        if request.headers.get(key.split(":")[0]) != key.split(":", 1)[1]:
            raise _error(401, str(fields))
        return fields

    async def _heard(self, sound: bytes) -> Transcript:
        return await self._recognizer.recognise(sound, Hints(needs_words=True), 0)

    # Deepgram

    async def _deepgram(self, request: web.Request) -> web.StreamResponse:
        await self._take(request, f"Authorization:Token {KEY}")
        query = request.query
        is_linear = (query.get("encoding"), query.get("sample_rate"), query.get("channels")) == (
            "linear16",
            "16000",
            "1",
        )
        other = "keywords" if query.get("model", "").startswith("nova-3") else "keyterm"
        if not is_linear or query.get("language") not in DEEPGRAM_LANGUAGES or other in query:
            raise _error(400)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        conversation = _Listened(self, socket)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.messages.append("audio")
                if self.failure == "cut":
                    _cut(request)
                elif self.failure == "garbage":
                    await socket.send_str("{not json")
                elif self.failure == "shape":
                    await socket.send_str('{"type": "Results", "channel": [0, 1]}')
                else:
                    await conversation.hear(message.data)
            elif message.type is WSMsgType.TEXT:
                kind = msgspec.json.decode(message.data)["type"]
                self.messages.append(kind)
                await conversation.obey(kind)
        self.messages.append("gone")
        return socket

    # OpenAI

    async def _transcriptions(self, request: web.Request) -> web.StreamResponse:
        fields = await self._take(request, f"Authorization:Bearer {KEY}")
        given = {name: values[0] for name, values in fields.items() if name != "file"}
        file = fields["file"][0]
        sound = file.file.read()
        layout = wav.parsed(sound)
        sound = sound[layout.data_at :]
        is_whisper, is_verbose = given["model"] == "whisper-1", given.get("response_format") == "verbose_json"
        if (
            layout.rate != pcm.RATE
            or not file.filename.endswith(".wav")
            or pcm.seconds(sound) < 0.1
            or given.get("language", "en") not in ISO_639_1
            or (is_verbose and not is_whisper)
            or ("timestamp_granularities[]" in given and not is_verbose)
            or ("include[]" in given and is_whisper)
        ):
            raise _error(400)
        if self.failure == "cut":
            return await self._stream(request, b'{"text": "hello', "application/json")
        if self.failure in ("garbage", "shape"):
            text = '{"text": nonsense' if self.failure == "garbage" else '{"text": 5}'
            return web.Response(text=text, content_type="application/json")
        heard = await self._heard(sound)
        answer: dict[str, Any] = {"text": heard.text}
        if is_verbose:
            words = [{"word": w.text, "start": w.start, "end": w.end} for w in heard.words]
            answer |= {"task": "transcribe", "language": "english", "duration": pcm.seconds(sound), "words": words}
        if given.get("include[]") == "logprobs":
            answer["logprobs"] = [{"token": w.text, "logprob": LOGPROB, "bytes": []} for w in heard.words]
        return web.json_response(answer)

    async def _openai_speech(self, request: web.Request) -> web.StreamResponse:
        fields = await self._take(request, f"Authorization:Bearer {KEY}")
        known = {"model", "input", "voice", "response_format", "speed", "instructions", "stream_format"}
        voice = fields["voice"]
        if (
            fields.keys() - known
            or fields["response_format"] != "pcm"
            or not 0 < len(fields["input"]) <= 4096
            or not (isinstance(voice, dict) or voice in OPENAI_VOICES)
        ):
            raise _error(400)
        sound = self._synthesizer.sound(fields["input"])
        return await self._stream(request, pcm.of_floats(resampled(pcm.floats(sound), pcm.RATE, 24_000)))

    # ElevenLabs

    async def _elevenlabs(self, request: web.Request) -> web.StreamResponse:
        fields = await self._take(request, f"xi-api-key:{KEY}")
        settings = fields.get("voice_settings", {})
        if (
            fields.keys() - {"text", "model_id", "language_code", "voice_settings"}
            or settings.keys() - {"stability", "similarity_boost", "style", "use_speaker_boost", "speed"}
            or ("language_code" in fields and "multilingual_v2" in fields["model_id"])
            or request.query.get("output_format") != "pcm_16000"
        ):
            raise _error(400)
        return await self._stream(request, self._synthesizer.sound(fields["text"]))

    # Cartesia

    async def _cartesia(self, request: web.Request) -> web.StreamResponse:
        fields = await self._take(request, f"Authorization:Bearer {KEY}")
        known = {"model_id", "transcript", "voice", "output_format", "language", "generation_config", "speed"}
        raw = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000}
        if (
            fields.keys() - known
            or fields["output_format"] != raw
            or fields["voice"].keys() != {"mode", "id"}
            or fields.get("language", "en") not in ISO_639_1
            or fields.get("generation_config", {}).keys() - {"speed", "volume", "emotion"}
            or "Cartesia-Version" not in request.headers
        ):
            raise _error(400)
        return await self._stream(request, self._synthesizer.sound(fields["transcript"]))

    async def _stream(
        self, request: web.Request, body: bytes, content_type: str = "application/octet-stream"
    ) -> web.StreamResponse:
        if self.failure in ("garbage", "shape"):
            is_page = self.failure == "garbage"
            return web.Response(
                text="<html>Try again</html>" if is_page else '{"detail": "no"}',
                content_type="text/html" if is_page else "application/json",
            )
        response = web.StreamResponse(headers={"content-type": content_type})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for at in range(0, len(body), CHUNK_BYTES):
            await response.write(body[at : at + CHUNK_BYTES])
            for _ in range(5):
                await asyncio.sleep(0)  # lets the client have it as a piece of its own
            if self.failure == "cut":
                _cut(request)
                return response
        await response.write_eof()
        return response


class _Listened:
    """One conversation with Deepgram's side: sound becomes final at a pause, or when the client asks for it."""

    def __init__(self, server: SpeechServer, socket: web.WebSocketResponse) -> None:
        self._server = server
        self._socket = socket
        self._sound = bytearray()
        self._done = 0  # bytes of it that are final

    @property
    def _pending(self) -> bytes:
        return bytes(self._sound[self._done :])

    async def hear(self, sound: bytes) -> None:
        self._sound += sound
        is_pause = pcm.level(self._pending[-PAUSE_BYTES:]) < 0.01 and len(self._pending) > PAUSE_BYTES
        is_spoken = pcm.level(self._pending) > 0.02
        await self._tell(is_final=is_pause and is_spoken)

    async def obey(self, kind: str) -> None:
        """`Finalize` has an answer of its own only when there is noticeably much to finalise."""
        if kind == "Finalize" and len(self._pending) > PAUSE_BYTES:
            await self._tell(is_final=True, from_finalize=True)
        elif kind == "CloseStream":
            if self._pending:
                await self._tell(is_final=True)
            metadata = {
                "type": "Metadata",
                "request_id": "r",
                "duration": pcm.seconds(bytes(self._sound)),
                "channels": 1,
            }
            await self._socket.send_str(msgspec.json.encode(metadata).decode())
            await self._socket.close()

    async def _tell(self, *, is_final: bool, from_finalize: bool = False) -> None:
        start = pcm.seconds(bytes(self._sound[: self._done]))
        heard = await self._server._heard(self._pending)
        words = [
            {
                "word": w.text.lower(),
                "punctuated_word": w.text,
                "start": start + w.start,
                "end": start + w.end,
                "confidence": 0.9,
            }
            for w in heard.words
        ]
        reading = {"transcript": heard.text, "confidence": 0.9 if words else 0.0, "words": words}
        results = {
            "type": "Results",
            "channel_index": [0, 1],
            "start": start,
            "duration": pcm.seconds(self._pending),
            "is_final": is_final,
            "speech_final": is_final and not from_finalize,
            "from_finalize": from_finalize,
            "channel": {"alternatives": [reading]},
            "metadata": {"request_id": "r", "model_uuid": "m", "model_info": {}},
        }
        await self._socket.send_str(msgspec.json.encode(results).decode())
        if is_final:
            self._done = len(self._sound)


def _error(status: int, asked: str = "") -> Exception:
    """An answer that repeats what it was asked, as those of providers may."""
    error: Any = type("Refusal", (web.HTTPException,), {"status_code": status})
    headers = {429: {"retry-after": "7"}, 307: {"location": "/elsewhere"}}.get(status)
    return error(text=f"not with {KEY}: {asked}", headers=headers)  # type: ignore[no-any-return]


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


@asynccontextmanager
async def speech_server(tongue: Tongue) -> AsyncIterator[SpeechServer]:
    server = SpeechServer(tongue)
    app = web.Application(client_max_size=25 << 20)  # as OpenAI
    app.add_routes(server.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.release()
        await runner.cleanup()


CONFIDENCE = math.exp(LOGPROB)
