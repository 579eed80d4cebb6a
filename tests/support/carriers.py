"""Telephone carriers as they look from the other side: they announce a call, bring its sound, play what they are sent in
real time, and take requests by REST. Field names and the order of messages are those of their documentation."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, time
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID
from xml.etree import ElementTree

import aiohttp
import msgspec
import uvicorn
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vivavoce import settings
from vivavoce.audio import g711, pcm
from vivavoce.audio.resampling import resampled
from vivavoce.domain.conversation import Conversation, Turn
from vivavoce.models.interface import Model
from vivavoce.speech.interface import Hints
from vivavoce.speech.loudness import LoudnessActivity
from vivavoce.speech.scripted import ScriptedRecognizer, ScriptedSynthesizer, Tongue
from vivavoce.telephony.audiosocket import AudioSocketLine, AudioSocketServer
from vivavoce.voice.call import Engines
from vivavoce.wiring import Running, SystemRandom, running
from vivavoce.wiring.doors import application

FRAME_BYTES = 320  # 20 ms of 16-bit sound at 8 kHz, as which it is handled here
SILENCE = bytes(FRAME_BYTES)
JITTER_FRAMES = 5  # that are kept back when sound begins to come, as carriers do
WITHIN = 8.0  # seconds, until something that is waited for has happened
TWILIO_ACCOUNT, TWILIO_TOKEN = "AC0123456789abcdef", "twilio-token"
TELNYX_KEY, TELNYX_SIGNING = "telnyx-key", Ed25519PrivateKey.generate()
PLIVO_ACCOUNT, PLIVO_TOKEN = "MA0123456789", "plivo-token"
CALLER, CALLED = "+441632960001", "+442079460000"


class Asked(msgspec.Struct):
    """A request to the carrier's API."""

    at: float
    method: str
    path: str
    authorization: str
    fields: dict[str, Any]
    xml: str = ""  # that Plivo was told to fetch


class Api:
    """The REST APIs of all carriers, each under its name. `refusal` is what they answer in place of doing it."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.refusal: tuple[int, str] | None = None
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        is_form = request.content_type == "application/x-www-form-urlencoded"
        fields = dict(parse_qsl(raw.decode())) if is_form else json.loads(raw or b"{}")
        asked = Asked(monotonic(), request.method, request.path, request.headers.get("Authorization", ""), fields)
        if "aleg_url" in fields and self.refusal is None:
            async with (
                aiohttp.ClientSession() as session,
                session.request(fields["aleg_method"], fields["aleg_url"]) as reply,
            ):
                asked.xml = await reply.text()
        self.asked.append(asked)
        if self.refusal is not None:
            return web.Response(status=self.refusal[0], text=self.refusal[1])
        return web.json_response({}, status=204 if request.method == "DELETE" else 200)

    async def of(self, call: str) -> Asked:
        """The first request about a call."""
        found: list[Asked] = await until(lambda: [a for a in self.asked if call in a.path], "a request to the API")
        return found[0]


@asynccontextmanager
async def rest() -> AsyncIterator[Api]:
    api = Api()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", api.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()


class Exchange:
    """The server under test, and what the carriers know of it."""

    def __init__(self, started: Running, url: str, tongue: Tongue, api: Api, port: int) -> None:
        self.started, self.url, self.tongue, self.api, self.port = started, url, tongue, api, port
        self.lines: Mapping[AudioSocketLine, object] = {}
        self.session = aiohttp.ClientSession()

    async def announce(
        self, line: WebLine, fields: Mapping[str, str], *, agent: str = "tiny", headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """(status, answer) of the webhook. `headers` None: signed as the carrier signs."""
        url = f"{self.url}/voice/{line.name}/{agent}/sandbox"
        raw = urlencode(fields).encode()
        headers = line.signed(url, raw, fields) if headers is None else headers
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with self.session.post(url, data=raw, headers=headers) as reply:
            return reply.status, await reply.text()

    async def ended(self, call: str, agent: str = "tiny") -> tuple[Conversation, list[Turn]]:
        """The conversation, once it is over and nothing of it is still being written."""
        store = self.started.store

        async def find() -> Conversation | None:
            found = await store.get("acme", agent, call)
            return found if found is not None and found.is_ended else None

        for _ in range(round(WITHIN / 0.02)):
            found = await find()
            if found is not None and self.started.services.calls.going_on == 0:
                return found, await store.turns(found)
            await asyncio.sleep(0.02)
        raise AssertionError("the conversation has not ended")


@asynccontextmanager
async def exchange(
    folders: Sequence[Path], model: Model, *, agent: str | None = "tiny/sandbox", **overrides: Any
) -> AsyncIterator[Exchange]:
    """`agent` is AudioSocket's. All four lines are open."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    tongue = Tongue()
    engines = Engines(
        recognizer=ScriptedRecognizer(tongue),
        synthesizer=ScriptedSynthesizer(tongue),
        activity=LoudnessActivity(),
    )
    environ = {"VIVAVOCE_RETRIEVAL": "lexical", "VIVAVOCE_API_KEY": "test-key"}
    async with rest() as api:
        config = msgspec.structs.replace(
            settings.load(environ=environ, data=tempfile.mkdtemp(), model="local"),
            public_url=url,
            twilio_account_sid=TWILIO_ACCOUNT,
            twilio_auth_token=TWILIO_TOKEN,
            twilio_base_url=f"{api.url}/twilio",
            telnyx_api_key=TELNYX_KEY,
            telnyx_public_key=base64.b64encode(TELNYX_SIGNING.public_key().public_bytes_raw()).decode(),
            telnyx_url=f"{api.url}/telnyx",
            plivo_auth_id=PLIVO_ACCOUNT,
            plivo_auth_token=PLIVO_TOKEN,
            plivo_url=f"{api.url}/plivo",
            **overrides,
        )
        async with running(
            config, folders=tuple(folders), in_memory=True, model=model, engines=lambda: engines
        ) as started:
            server = uvicorn.Server(
                uvicorn.Config(application(config, started.services), log_level="error", lifespan="off")
            )
            serving = asyncio.create_task(server.serve(sockets=[sock]))
            services = started.services
            lines = AudioSocketServer(services.calls, services.deployments, agent, "127.0.0.1", 0)
            await lines.start()
            await until(lambda: server.started, "the server")
            found = Exchange(started, url, tongue, api, lines.port)
            found.lines = lines._lines
            try:
                yield found
            finally:
                await found.session.close()
                await lines.close()
                server.should_exit = True
                await serving
                sock.close()


async def until(happened: Any, what: str, within: float = WITHIN) -> Any:
    """What `happened` gives, once that is anything."""
    for _ in range(round(within / 0.02)):
        found = happened()
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what} has not come")


class Line:
    """A telephone call as the carrier holds it: 20 ms of the caller's sound go out each 20 ms, what comes is played."""

    name = ""

    def __init__(self, at: Exchange, *, agent: str = "tiny") -> None:
        self.at = at
        self.agent = agent
        self.call = SystemRandom().uuid()
        self.heard = bytearray()  # what the caller has heard
        self.clears = 0
        self.marks: list[tuple[str, float]] = []  # name, and when what came before had been played
        self.is_echoing = True  # sends marks back
        self.is_over = False  # the other side has closed it
        self.number = 0  # of the last piece of sound
        self._listened = 0  # bytes of `heard` that have been listened to
        self._saying = b""
        self._playing: deque[bytes | str] = deque()
        self._buffering = JITTER_FRAMES  # to go until it plays what has come
        self._tasks: list[asyncio.Task[None]] = []

    async def dial(self) -> None:
        """Up to the moment at which the caller can speak."""
        await self.connect()
        await self.begin()
        self.run()

    def run(self) -> None:
        self.listen()
        self._tasks.append(asyncio.create_task(self._tick()))

    def listen(self) -> None:
        """Only takes what comes."""
        self._tasks.append(asyncio.create_task(self._receive()))

    async def connect(self) -> None:
        raise NotImplementedError

    async def begin(self) -> None:
        raise NotImplementedError

    async def send_sound(self, sound: bytes) -> None:
        """Counts it up."""
        raise NotImplementedError

    async def press(self, keys: str) -> None:
        raise NotImplementedError

    async def hang_up(self) -> None:
        """As the caller does."""
        raise NotImplementedError

    async def drop(self) -> None:
        """The connection is gone, without a word."""
        raise NotImplementedError

    async def _received(self) -> bool:
        """Takes one message. False when there are no more."""
        raise NotImplementedError

    async def _echo(self, mark: str) -> None: ...

    # The caller.

    def say(self, text: str) -> None:
        self._saying += self.sound(text)

    def sound(self, text: str) -> bytes:
        spoken = pcm.floats(ScriptedSynthesizer(self.at.tongue).sound(text))
        return pcm.of_floats(resampled(spoken, pcm.RATE, g711.RATE))

    async def hears(self, text: str, within: float = WITHIN) -> None:
        """Listens from where it has listened to the last time."""
        recognizer = ScriptedRecognizer(self.at.tongue)
        until_ = monotonic() + within
        heard = ""
        while text not in heard:
            if monotonic() > until_:
                raise AssertionError(f"{self.name}: {text!r} was not heard, but {heard!r}")
            await asyncio.sleep(0.1)
            sound = resampled(pcm.floats(bytes(self.heard[self._listened :])), g711.RATE)
            heard = (await recognizer.recognise(pcm.of_floats(sound), Hints(), 0)).text
        self._listened = len(self.heard)

    async def quiet(self, seconds: float = 0.3) -> None:
        """The agent has been silent for so long."""
        count = round(seconds / pcm.FRAME_SECONDS) * FRAME_BYTES
        start = len(self.heard)
        await until(lambda: len(self.heard) >= start + count and not any(self.heard[-count:]), "silence")

    async def over(self, within: float = WITHIN) -> None:
        await until(lambda: self.is_over, f"{self.name}: the end", within)

    # The carrier.

    async def _tick(self) -> None:
        due = monotonic()
        while not self.is_over:
            frame, self._saying = self._saying[:FRAME_BYTES], self._saying[FRAME_BYTES:]
            try:
                await self.send_sound(frame.ljust(FRAME_BYTES, b"\0"))
                await self._play()
            except (ConnectionError, aiohttp.ClientError):
                break
            due += pcm.FRAME_SECONDS
            await asyncio.sleep(max(0.0, due - monotonic()))

    async def _play(self) -> None:
        frame = b""
        if self._buffering and self._playing and not isinstance(self._playing[0], str):
            self._buffering -= 1
            self.heard += SILENCE
            return
        while self._playing and len(frame) < FRAME_BYTES:
            item = self._playing.popleft()
            if isinstance(item, str):
                if frame:  # it comes after what is played now
                    self._playing.appendleft(item)
                    break
                await self._reach(item)
            else:
                rest = FRAME_BYTES - len(frame)
                frame += item[:rest]
                if item[rest:]:
                    self._playing.appendleft(item[rest:])
        self.heard += frame.ljust(FRAME_BYTES, b"\0")
        if len(frame) < FRAME_BYTES:
            self._buffering = JITTER_FRAMES

    async def _reach(self, mark: str) -> None:
        self.marks.append((mark, monotonic()))
        if self.is_echoing:
            await self._echo(mark)

    async def _receive(self) -> None:
        try:
            while await self._received():
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        self.is_over = True

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class WebLine(Line):
    """A carrier that announces calls by a webhook and brings them by WebSocket."""

    def __init__(self, at: Exchange, *, agent: str = "tiny") -> None:
        super().__init__(at, agent=agent)
        self.stream = SystemRandom().uuid()
        self.socket: aiohttp.ClientWebSocketResponse | None = None

    @staticmethod
    def signed(url: str, raw: bytes, fields: Mapping[str, str]) -> dict[str, str]:
        raise NotImplementedError

    def announced(self) -> dict[str, str]:
        """The fields of the webhook."""
        raise NotImplementedError

    def address(self, answer: str) -> str:
        """Of the stream, as the answer to the webhook says it."""
        raise NotImplementedError

    def beginning(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def media(self, payload: str, number: int) -> dict[str, Any]:
        raise NotImplementedError

    def key(self, key: str) -> dict[str, Any]:
        raise NotImplementedError

    def stop(self) -> dict[str, Any]:
        raise NotImplementedError

    async def take(self, message: dict[str, Any]) -> None:
        raise NotImplementedError

    async def announce(self) -> str:
        status, answer = await self.at.announce(self, self.announced(), agent=self.agent)
        assert status == 200, answer
        return self.address(answer)

    async def connect(self, address: str = "") -> None:
        self.socket = await self.at.session.ws_connect(address or await self.announce())

    async def begin(self) -> None:
        for message in self.beginning():
            await self.send(message)

    async def send(self, message: dict[str, Any] | str | bytes) -> None:
        assert self.socket is not None
        if isinstance(message, bytes):
            await self.socket.send_bytes(message)
        else:
            await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def send_sound(self, sound: bytes) -> None:
        self.number += 1
        await self.send(self.media(base64.b64encode(g711.to_ulaw(sound)).decode(), self.number))

    async def press(self, keys: str) -> None:
        for key in keys:
            await self.send(self.key(key))

    async def hang_up(self) -> None:
        await self.send(self.stop())
        await self.drop()

    async def drop(self) -> None:
        assert self.socket is not None
        self.is_over = True
        await self.socket.close()

    async def _received(self) -> bool:
        assert self.socket is not None
        message = await self.socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            return False
        await self.take(json.loads(message.data))
        return True

    def play(self, payload: str) -> None:
        self._playing.append(g711.from_ulaw(base64.b64decode(payload, validate=True)))

    async def cleared(self, *, returns_marks: bool) -> None:
        self.clears += 1
        marks = [item for item in self._playing if isinstance(item, str)]
        self._playing.clear()
        for mark in marks if returns_marks else ():
            await self._reach(mark)


class Twilio(WebLine):
    name = "twilio"

    def __init__(self, at: Exchange, *, agent: str = "tiny") -> None:
        super().__init__(at, agent=agent)
        self.call = f"CA{UUID(self.call).hex}"

    @staticmethod
    def signed(url: str, raw: bytes, fields: Mapping[str, str]) -> dict[str, str]:
        text = url + "".join(name + fields[name] for name in sorted(fields))
        signature = hmac.new(TWILIO_TOKEN.encode(), text.encode(), hashlib.sha1).digest()
        return {"X-Twilio-Signature": base64.b64encode(signature).decode()}

    def announced(self) -> dict[str, str]:
        called = {"CallSid": self.call, "From": CALLER, "To": CALLED, "CallStatus": "ringing", "Direction": "inbound"}
        return {**called, "AccountSid": TWILIO_ACCOUNT, "SipHeader_X-Site": "harbour"}

    def address(self, answer: str) -> str:
        stream = ElementTree.fromstring(answer).find("./Connect/Stream")
        assert stream is not None
        return stream.attrib["url"]

    def beginning(self) -> list[dict[str, Any]]:
        media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {
            "accountSid": TWILIO_ACCOUNT,
            "streamSid": self.stream,
            "callSid": self.call,
            "tracks": ["inbound"],
            "mediaFormat": media_format,
            "customParameters": {},
        }
        return [
            {"event": "connected", "protocol": "Call", "version": "1.0.0"},
            {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": self.stream},
        ]

    def media(self, payload: str, number: int) -> dict[str, Any]:
        media = {"track": "inbound", "chunk": str(number), "timestamp": str(number * 20), "payload": payload}
        return {"event": "media", "sequenceNumber": str(number + 1), "media": media, "streamSid": self.stream}

    def key(self, key: str) -> dict[str, Any]:
        return {"event": "dtmf", "streamSid": self.stream, "dtmf": {"track": "inbound_track", "digit": key}}

    def stop(self) -> dict[str, Any]:
        stop = {"accountSid": TWILIO_ACCOUNT, "callSid": self.call}
        return {"event": "stop", "sequenceNumber": "5", "stop": stop, "streamSid": self.stream}

    async def take(self, message: dict[str, Any]) -> None:
        assert message["streamSid"] == self.stream
        match message["event"]:
            case "media":
                self.play(message["media"]["payload"])
            case "mark":
                self._playing.append(message["mark"]["name"])
            case "clear":
                await self.cleared(returns_marks=True)
            case other:
                raise AssertionError(other)

    async def _echo(self, mark: str) -> None:
        await self.send({"event": "mark", "sequenceNumber": "4", "streamSid": self.stream, "mark": {"name": mark}})


class Telnyx(WebLine):
    name = "telnyx"

    def __init__(self, at: Exchange, *, agent: str = "tiny") -> None:
        super().__init__(at, agent=agent)
        self.call = f"v3:{base64.urlsafe_b64encode(UUID(self.call).bytes * 2)[:42].decode()}-_"

    @staticmethod
    def signed(url: str, raw: bytes, fields: Mapping[str, str], at: float = 0.0) -> dict[str, str]:
        timestamp = str(int(at or time()))
        signature = TELNYX_SIGNING.sign(timestamp.encode() + b"|" + raw)
        return {
            "telnyx-timestamp": timestamp,
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
        }

    def announced(self) -> dict[str, str]:
        called = {"CallSid": self.call, "CallSidLegacy": self.call, "From": CALLER, "To": CALLED}
        return {**called, "AccountSid": "f5586561", "ConnectionId": "1234567890", "SipHeader_X-Site": "harbour"}

    def address(self, answer: str) -> str:
        stream = ElementTree.fromstring(answer).find("./Connect/Stream")
        assert stream is not None
        assert stream.attrib["bidirectionalMode"] == "rtp" and stream.attrib["bidirectionalCodec"] == "PCMU"
        return stream.attrib["url"]

    def beginning(self) -> list[dict[str, Any]]:
        start: dict[str, Any] = {
            "user_id": "3E6F995F",
            "call_control_id": self.call,
            "call_session_id": SystemRandom().uuid(),
            "from": CALLER,
            "to": CALLED,
            "tags": [],
            "client_state": None,
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        }
        return [
            {"event": "connected", "version": "1.0.0"},
            {"event": "start", "sequence_number": "1", "start": start, "stream_id": self.stream},
        ]

    def media(self, payload: str, number: int) -> dict[str, Any]:
        media = {"track": "inbound", "chunk": str(number), "timestamp": str(number * 20), "payload": payload}
        return {"event": "media", "sequence_number": str(number + 1), "media": media, "stream_id": self.stream}

    def key(self, key: str) -> dict[str, Any]:
        at = "2026-06-05T08:54:19.698408Z"
        return {"event": "dtmf", "stream_id": self.stream, "occurred_at": at, "dtmf": {"digit": key}}

    def stop(self) -> dict[str, Any]:
        return {"event": "stop", "stop": {"call_control_id": self.call}, "stream_id": self.stream}

    async def take(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "media":
                assert len(base64.b64decode(message["media"]["payload"])) >= 160, "less than 20 ms"
                self.play(message["media"]["payload"])
            case "mark":
                self._playing.append(message["mark"]["name"])
            case "clear":
                await self.cleared(returns_marks=True)
            case other:
                raise AssertionError(other)

    async def _echo(self, mark: str) -> None:
        await self.send({"event": "mark", "sequence_number": "5", "stream_id": self.stream, "mark": {"name": mark}})


class Plivo(WebLine):
    name = "plivo"

    @staticmethod
    def signed(url: str, raw: bytes, fields: Mapping[str, str]) -> dict[str, str]:
        nonce = "05429567804466091622"
        text = f"{url}?{''.join(name + fields[name] for name in sorted(fields))}.{nonce}"
        signature = base64.b64encode(hmac.new(PLIVO_TOKEN.encode(), text.encode(), hashlib.sha256).digest()).decode()
        return {"X-Plivo-Signature-V3": f"of-another-token=,{signature}", "X-Plivo-Signature-V3-Nonce": nonce}

    def announced(self) -> dict[str, str]:
        called = {"CallUUID": self.call, "From": CALLER, "To": CALLED, "CallStatus": "ringing", "Direction": "inbound"}
        return {**called, "Event": "StartApp", "X-PH-Site": "harbour"}

    def address(self, answer: str) -> str:
        stream = ElementTree.fromstring(answer).find("./Stream")
        assert stream is not None and stream.text
        assert stream.attrib == {
            "bidirectional": "true",
            "keepCallAlive": "true",
            "contentType": "audio/x-mulaw;rate=8000",
        }
        return stream.text

    def beginning(self) -> list[dict[str, Any]]:
        start = {
            "callId": self.call,
            "streamId": self.stream,
            "accountId": PLIVO_ACCOUNT,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        }
        return [{"event": "start", "sequenceNumber": 1, "start": start, "extra_headers": "{}"}]

    def media(self, payload: str, number: int) -> dict[str, Any]:
        media = {"track": "inbound", "timestamp": str(number * 20), "chunk": number, "payload": payload}
        return {"event": "media", "sequenceNumber": number + 1, "streamId": self.stream, "media": media}

    def key(self, key: str) -> dict[str, Any]:
        dtmf = {"track": "inbound", "digit": key, "timestamp": "1500"}
        return {"event": "dtmf", "sequenceNumber": 9, "streamId": self.stream, "dtmf": dtmf, "extra_headers": "{}"}

    def stop(self) -> dict[str, Any]:
        return {"event": "stop", "sequenceNumber": 9, "streamId": self.stream}

    async def take(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "playAudio":
                media = message["media"]
                assert (media["contentType"], media["sampleRate"]) == ("audio/x-mulaw", 8000)
                self.play(media["payload"])
            case "checkpoint":
                assert message["streamId"] == self.stream
                self._playing.append(message["name"])
            case "clearAudio":
                assert message["streamId"] == self.stream
                await self.cleared(returns_marks=False)
                await self.send({"event": "clearedAudio", "sequenceNumber": 9, "streamId": self.stream})
            case other:
                raise AssertionError(other)

    async def _echo(self, mark: str) -> None:
        await self.send({"event": "playedStream", "sequenceNumber": 9, "streamId": self.stream, "name": mark})


class Asterisk(Line):
    """AudioSocket() in the dialplan. `kind` is that of its sound, `rate` what that means."""

    name = "asterisk"

    def __init__(self, at: Exchange, *, agent: str = "tiny", kind: int = 0x10, rate: int = 8_000) -> None:
        super().__init__(at, agent=agent)
        self.kind, self.rate = kind, rate
        self.is_hung_up = False  # by a message, not only by the end of the connection
        self.writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.at.port)

    async def begin(self) -> None:
        await self.send(0x01, UUID(self.call).bytes)

    async def send(self, kind: int, payload: bytes = b"") -> None:
        await self.send_raw(kind.to_bytes() + len(payload).to_bytes(2, "big") + payload)

    async def send_raw(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)
        await self.writer.drain()

    async def send_sound(self, sound: bytes) -> None:
        self.number += 1
        await self.send(self.kind, pcm.of_floats(resampled(pcm.floats(sound), g711.RATE, self.rate)))

    async def press(self, keys: str) -> None:
        for key in keys:
            await self.send(0x03, key.encode())

    async def hang_up(self) -> None:
        await self.send(0x00)
        await self.drop()

    async def drop(self) -> None:
        assert self.writer is not None
        self.is_over = True
        self.writer.close()
        await self.writer.wait_closed()

    async def _received(self) -> bool:
        header = await self.reader.readexactly(3)
        payload = await self.reader.readexactly(int.from_bytes(header[1:], "big"))
        if header[0] == 0x00:
            self.is_hung_up = True
            return False
        assert header[0] == self.kind and len(payload) == self.rate // 50 * 2
        self._playing.append(pcm.of_floats(resampled(pcm.floats(payload), self.rate, g711.RATE)))
        return True

    async def close(self) -> None:
        await super().close()
        if self.writer is not None:
            self.writer.close()


LINES: tuple[type[Line], ...] = (Twilio, Telnyx, Plivo, Asterisk)
WEB_LINES: tuple[type[WebLine], ...] = (Twilio, Telnyx, Plivo)
