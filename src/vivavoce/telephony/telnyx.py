"""Telnyx: a signed webhook of a TeXML application, Media Streaming in its RTP mode, and Call Control to pass a call on.

https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming, .../texml-verbs/stream
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

import aiohttp
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from vivavoce.errors import NOT_JSON, UsageError
from vivavoce.telephony.coded import Ulaw
from vivavoce.telephony.dialect import (
    CarrierError,
    Complained,
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

log = logging.getLogger(__name__)
NAME = "telnyx"
STREAM = "/voice/telnyx/stream/{token}"
SECONDS = 10.0
OLDEST_SECONDS = 300.0  # of a signature: an older one may be somebody's recording of it
LEAST_BYTES = 160  # of one message: 20 ms, below which Telnyx refuses it
_ENCODINGS = ("PCMU", "audio/x-mulaw")  # as it is called now, and as it was
_HAS_ENDED = "90018"  # an error of the API: the call is over already
_ID = re.compile(r"[A-Za-z0-9:_-]+")
_SIP_HEADER = re.compile(r"(?:SipHeader_)?(X-.+)", re.IGNORECASE)


class _Start(Struct, frozen=True):
    call_control_id: str = ""
    media_format: dict[str, Any] = {}


class _Media(Struct, frozen=True):
    payload: str = ""
    chunk: str | int = ""
    track: str = "inbound"


class _Digit(Struct, frozen=True):
    digit: str = ""


class _Mark(Struct, frozen=True):
    name: str = ""


class _Complaint(Struct, frozen=True):
    code: str | int = ""


class _Incoming(Struct, frozen=True):
    event: str
    start: _Start = _Start()
    media: _Media = _Media()
    dtmf: _Digit = _Digit()
    mark: _Mark = _Mark()
    payload: _Complaint = _Complaint()


class _Refusal(Struct, frozen=True):
    errors: tuple[_Complaint, ...] = ()


_decode = msgspec.json.Decoder(_Incoming).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode


class TelnyxDialect:
    has_marks = True

    def __init__(self) -> None:
        self._coding = Ulaw()
        self._unsent = b""
        self._has_complained = False

    def read(self, message: Message) -> Event | None:
        try:
            said = _decode(message)
        except NOT_JSON as error:
            raise Malformed from error
        match said.event:
            case "start":
                return _started(said.start)
            case "media":
                return self._coding.heard(said.media.track, said.media.chunk, said.media.payload)
            case "dtmf" if said.dtmf.digit:
                return Pressed(said.dtmf.digit[0])
            case "mark":
                return Reached(said.mark.name)
            case "stop":
                return Stopped()
            case "error":
                self._complain(said.payload)
                return Complained()
            case "" | "dtmf":
                raise Malformed
            case _:  # "connected", and what Telnyx may come to send one day
                return None

    def _complain(self, complaint: _Complaint) -> None:
        if not self._has_complained:  # it may say so of every message
            self._has_complained = True
            log.warning("Telnyx reports error %s on a stream", str(complaint.code)[:10])

    def sound(self, frame: bytes) -> Message | None:
        self._unsent += base64.b64decode(self._coding.write(frame))
        if len(self._unsent) < LEAST_BYTES:
            return None
        payload, self._unsent = base64.b64encode(self._unsent).decode(), b""
        return _sent("media", media={"payload": payload})

    def clear(self) -> Message:
        self._unsent = b""
        return _sent("clear")

    def mark(self, name: str) -> Message:
        return _sent("mark", mark={"name": name})

    def told(self, event: dict[str, Any]) -> Message | None:
        return None


def _started(start: _Start) -> Started:
    encoding, rate = start.media_format.get("encoding"), start.media_format.get("sample_rate")
    if not start.call_control_id or encoding not in _ENCODINGS or str(rate) != "8000":
        raise Malformed
    return Started(start.call_control_id)


def _sent(event: str, **fields: Any) -> str:
    return msgspec.json.encode({"event": event, **fields}).decode()


class TelnyxControl:
    """Call Control on a TeXML call: its CallSid is the call_control_id."""

    def __init__(self, *, api_key: str, base_url: str) -> None:
        self._url = f"{base_url.rstrip('/')}/v2/calls"
        self._headers = {"Authorization": f"Bearer {api_key}"}

    async def transfer(self, call: str, transfer: Transfer) -> bool:
        """A REFER for SIP addresses where one is asked for, else a second leg to the number."""
        number = transfer.number.strip()
        if not number or not _ID.fullmatch(call):
            return False
        headers = [{"name": name, "value": v} for name, v in transfer.headers.items() if name.lower().startswith("x-")]
        fields: dict[str, Any] = {"custom_headers": headers} if headers else {}
        if transfer.method == "refer" and number.lower().startswith(("sip:", "sips:")):
            await self._act(call, "refer", {"sip_address": number, **fields})
            return True
        if transfer.caller_id:
            fields["from"] = transfer.caller_id
        await self._act(call, "transfer", {"to": number, **fields})
        return True

    async def hang_up(self, call: str) -> None:
        if _ID.fullmatch(call):
            await self._act(call, "hangup", {})

    async def _act(self, call: str, action: str, fields: dict[str, Any]) -> None:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
                session.post(f"{self._url}/{call}/actions/{action}", json=fields) as reply,
            ):
                if reply.status == 404 or (reply.status == 422 and _is_over(await reply.read())):
                    return
                if reply.status >= 300:
                    raise CarrierError(f"Telnyx refused to {action} the call (status {reply.status}).")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CarrierError(f"Telnyx could not be reached: {type(error).__name__}.") from error


def _is_over(refusal: bytes) -> bool:
    try:
        return any(str(error.code) == _HAS_ENDED for error in _decode_refusal(refusal).errors)
    except NOT_JSON:
        return False


def public_key(text: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError:
        raise UsageError(
            "TELNYX_PUBLIC_KEY is not a key; copy the public key from Keys & Credentials in Telnyx Mission Control."
        ) from None


def is_signed(key: Ed25519PublicKey, headers: Mapping[str, str], raw: bytes, seconds: Callable[[], float]) -> bool:
    """Ed25519 over `timestamp|body`, as Telnyx signs it. `seconds` is the present moment, since 1970."""
    timestamp = headers.get("telnyx-timestamp", "")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(seconds() - int(timestamp)) > OLDEST_SECONDS:
        return False
    try:
        signature = base64.b64decode(headers.get("telnyx-signature-ed25519", ""), validate=True)
        key.verify(signature, timestamp.encode() + b"|" + raw)
    except (ValueError, InvalidSignature):
        return False
    return True


def caller_of(fields: Mapping[str, str]) -> Caller:
    found = ((_SIP_HEADER.fullmatch(name), value) for name, value in fields.items())
    headers = {match[1]: value for match, value in found if match is not None}
    return Caller(call=fields.get("CallSid", ""), number=fields.get("From"), called=fields.get("To"), headers=headers)


def stream_answer(url: str) -> str:
    """Without `bidirectionalMode` Telnyx takes whole MP3 files, one a second."""
    codecs = 'codec="PCMU" bidirectionalMode="rtp" bidirectionalCodec="PCMU"'
    return f'<Response><Connect><Stream url={quoteattr(url)} track="inbound_track" {codecs}/></Connect></Response>'


def busy_answer() -> str:
    return '<Response><Reject reason="busy"/></Response>'
