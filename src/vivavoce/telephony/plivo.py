"""Plivo: a signed webhook answered with XML, Audio Streaming for the sound, and its REST API to pass a call on.

https://www.plivo.com/docs/voice/audio-streaming, .../voice/xml/request/validation
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape, quoteattr

import aiohttp
import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vivavoce.domain.clock import Random
from vivavoce.errors import NOT_JSON
from vivavoce.telephony.coded import Ulaw
from vivavoce.telephony.dialect import (
    CarrierError,
    Event,
    Malformed,
    Message,
    Pressed,
    Reached,
    Started,
    Stopped,
)
from vivavoce.telephony.webhook import Caller
from vivavoce.voice.conduct import Transfer

NAME = "plivo"
STREAM = "/voice/plivo/stream/{token}"
TRANSFER = "/voice/plivo-transfer/{token}"
SECONDS = 10.0
MOST_TRANSFERS = 1_000  # whose XML is kept: Plivo may fetch it more than once
_ENCODING, _RATE = "audio/x-mulaw", 8000
_ID = re.compile(r"[A-Za-z0-9-]+")
_SIP_HEADER = re.compile(r"X-PH-.+", re.IGNORECASE)


class _Start(Struct, frozen=True, rename="camel"):
    call_id: str = ""
    stream_id: str = ""
    media_format: dict[str, Any] = {}


class _Media(Struct, frozen=True):
    payload: str = ""
    chunk: int | str = ""
    track: str = "inbound"


class _Digit(Struct, frozen=True):
    digit: str = ""


class _Incoming(Struct, frozen=True):
    event: str
    start: _Start = _Start()
    media: _Media = _Media()
    dtmf: _Digit = _Digit()
    name: str = ""


_decode = msgspec.json.Decoder(_Incoming).decode


class PlivoDialect:
    has_marks = True

    def __init__(self) -> None:
        self._coding = Ulaw()
        self._stream = ""

    def read(self, message: Message) -> Event | None:
        try:
            said = _decode(message)
        except NOT_JSON as error:
            raise Malformed from error
        match said.event:
            case "start":
                return self._started(said.start)
            case "media":
                return self._coding.heard(said.media.track, said.media.chunk, said.media.payload)
            case "dtmf" if said.dtmf.digit:
                return Pressed(said.dtmf.digit[0])
            case "playedStream":
                return Reached(said.name)
            case "stop":
                return Stopped()
            case "" | "dtmf":
                raise Malformed
            case _:  # "clearedAudio", and what Plivo may come to send one day
                return None

    def _started(self, start: _Start) -> Started:
        encoding, rate = start.media_format.get("encoding"), start.media_format.get("sampleRate")
        if not start.call_id or encoding != _ENCODING or str(rate) != str(_RATE):
            raise Malformed
        self._stream = start.stream_id
        return Started(start.call_id)

    def sound(self, frame: bytes) -> Message | None:
        payload = self._coding.write(frame)
        if not payload:
            return None
        return _sent("playAudio", media={"contentType": _ENCODING, "sampleRate": _RATE, "payload": payload})

    def clear(self) -> Message:
        return _sent("clearAudio", streamId=self._stream)

    def mark(self, name: str) -> Message:
        return _sent("checkpoint", streamId=self._stream, name=name)

    def told(self, event: dict[str, Any]) -> Message | None:
        return None


def _sent(event: str, **fields: Any) -> str:
    return msgspec.json.encode({"event": event, **fields}).decode()


class PlivoControl:
    """Ends a call, or has Plivo go on with other XML, which it fetches from `route`: that has to be served."""

    def __init__(self, *, auth_id: str, auth_token: str, base_url: str, public_url: str, random: Random) -> None:
        self._url = f"{base_url.rstrip('/')}/v1/Account/{auth_id}/Call"
        key = base64.b64encode(f"{auth_id}:{auth_token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {key}"}
        self._public_url = public_url
        self._random = random
        self._transfers: OrderedDict[str, str] = OrderedDict()
        self.route = Route(TRANSFER, self._serve, methods=["GET"])

    async def transfer(self, call: str, transfer: Transfer) -> bool:
        """A second leg: Plivo sends no REFER."""
        xml = transfer_xml(transfer)
        if xml is None or not _ID.fullmatch(call):
            return False
        token = self._random.uuid()
        self._transfers[token] = xml
        if len(self._transfers) > MOST_TRANSFERS:
            self._transfers.popitem(last=False)
        address = self._public_url + TRANSFER.replace("{token}", token)
        await self._change("POST", call, {"legs": "aleg", "aleg_url": address, "aleg_method": "GET"})
        return True

    async def hang_up(self, call: str) -> None:
        if _ID.fullmatch(call):
            await self._change("DELETE", call, None)

    async def _change(self, method: str, call: str, fields: dict[str, str] | None) -> None:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
                session.request(method, f"{self._url}/{call}/", json=fields) as reply,
            ):
                if reply.status == 404:  # over already
                    return
                if reply.status >= 300:
                    raise CarrierError(f"Plivo refused to change the call (status {reply.status}).")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CarrierError(f"Plivo could not be reached: {type(error).__name__}.") from error

    async def _serve(self, request: Request) -> Response:
        xml = self._transfers.get(request.path_params["token"])
        if xml is None:
            return Response(status_code=404)
        return Response(xml, media_type="application/xml")


def transfer_xml(transfer: Transfer) -> str | None:
    number = transfer.number.strip()
    if not number:
        return None
    if number.lower().startswith(("sip:", "sips:")):
        headers = _plain_headers(transfer.headers)
        listed = f" sipHeaders={quoteattr(headers)}" if headers else ""
        target = f"<User{listed}>{escape(number)}</User>"
    else:
        target = f"<Number>{escape(number)}</Number>"
    caller = f" callerId={quoteattr(transfer.caller_id)}" if transfer.caller_id else ""
    return f"<Response><Dial{caller}>{target}</Dial></Response>"


def _plain_headers(headers: Mapping[str, str]) -> str:
    """Plivo puts X-PH- before each name, and takes letters and digits only."""
    names = {re.sub(r"^X-(PH-)?", "", name, flags=re.IGNORECASE): value for name, value in headers.items()}
    plain = re.compile(r"[A-Za-z0-9]+")
    return ",".join(f"{n}={v}" for n, v in names.items() if plain.fullmatch(n) and plain.fullmatch(v))


def is_signed(token: str, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Version 3, HMAC-SHA256: the address with its parameters sorted, a dot where it has any, the sorted fields, the nonce.

    Plivo signs with the token of the account that the call is of, and with the main account's: either will do.
    """
    split = urlsplit(url)
    parameters = "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(split.query, keep_blank_values=True)))
    text = f"{split.scheme}://{split.netloc}{split.path}"
    if parameters or fields:
        text += f"?{parameters}"
    if parameters and fields:
        text += "."
    text += "".join(f"{name}{fields[name]}" for name in sorted(fields))
    text += "." + headers.get("x-plivo-signature-v3-nonce", "")
    expected = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha256).digest())
    given = (headers.get(name, "") for name in ("x-plivo-signature-v3", "x-plivo-signature-ma-v3"))
    return any(hmac.compare_digest(expected, one.strip().encode()) for one in ",".join(given).split(","))


def caller_of(fields: Mapping[str, str]) -> Caller:
    headers = {name: value for name, value in fields.items() if _SIP_HEADER.fullmatch(name)}
    return Caller(call=fields.get("CallUUID", ""), number=fields.get("From"), called=fields.get("To"), headers=headers)


def stream_answer(url: str) -> str:
    """Without `keepCallAlive` the call would end at once, for want of another element."""
    ways = f'bidirectional="true" keepCallAlive="true" contentType="{_ENCODING};rate={_RATE}"'
    return f"<Response><Stream {ways}>{escape(url)}</Stream></Response>"


def busy_answer() -> str:
    return '<Response><Hangup reason="busy"/></Response>'
