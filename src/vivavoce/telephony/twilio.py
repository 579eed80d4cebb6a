"""Twilio: a signed webhook answered with TwiML, Media Streams for the sound, and its REST API to pass a call on.

https://www.twilio.com/docs/voice/media-streams/websocket-messages, .../usage/security#validating-requests
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import aiohttp
import msgspec
from msgspec import Struct

from vivavoce.errors import NOT_JSON, Invalid
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

NAME = "twilio"
STREAM = "/voice/twilio/stream/{token}"
SECONDS = 10.0
_SIP_HEADER = "SipHeader_"
_CALL = re.compile(r"CA[0-9a-f]{32}")


class _Start(Struct, frozen=True, rename="camel"):
    call_sid: str = ""
    media_format: dict[str, Any] = {}


class _Media(Struct, frozen=True):
    payload: str = ""
    chunk: str = ""
    track: str = "inbound"


class _Digit(Struct, frozen=True):
    digit: str = ""


class _Mark(Struct, frozen=True):
    name: str = ""


class _Incoming(Struct, frozen=True, rename="camel"):
    event: str
    stream_sid: str = ""
    start: _Start = _Start()
    media: _Media = _Media()
    dtmf: _Digit = _Digit()
    mark: _Mark = _Mark()


_decode = msgspec.json.Decoder(_Incoming).decode


class TwilioDialect:
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
                encoding, rate = said.start.media_format.get("encoding"), said.start.media_format.get("sampleRate")
                if (encoding, rate) not in (("audio/x-mulaw", 8000), (None, None)) or not said.start.call_sid:
                    raise Malformed
                self._stream = said.stream_sid
                return Started(said.start.call_sid)
            case "media":
                if said.media.track != "inbound":
                    return None
                return self._coding.heard(said.media.track, said.media.chunk, said.media.payload)
            case "dtmf" if said.dtmf.digit:
                return Pressed(said.dtmf.digit[0])
            case "mark":
                return Reached(said.mark.name)
            case "stop":
                return Stopped()
            case _:  # `connected`, and what Twilio may send one day
                return None

    def sound(self, frame: bytes) -> Message | None:
        payload = self._coding.write(frame)
        return self._sent("media", media={"payload": payload}) if payload else None

    def clear(self) -> Message:
        return self._sent("clear")

    def mark(self, name: str) -> Message:
        return self._sent("mark", mark={"name": name})

    def told(self, event: dict[str, Any]) -> Message | None:
        return None

    def _sent(self, event: str, **fields: Any) -> str:
        return msgspec.json.encode({"event": event, "streamSid": self._stream, **fields}).decode()


class TwilioControl:
    """Changes a call that goes on, by giving it other TwiML."""

    def __init__(self, *, account_sid: str, auth_token: str, base_url: str) -> None:
        self._url = f"{base_url.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Calls"
        key = base64.b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {key}"}

    async def transfer(self, call: str, transfer: Transfer) -> bool:
        twiml = transfer_twiml(transfer)
        if twiml is None:
            return False
        await self._change(call, {"Twiml": twiml})
        return True

    async def hang_up(self, call: str) -> None:
        await self._change(call, {"Status": "completed"})

    async def _change(self, call: str, fields: dict[str, str]) -> None:
        if not (call.isascii() and call.isalnum()):
            return
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
                session.post(f"{self._url}/{call}.json", data=fields) as reply,
            ):
                if reply.status == 404:  # over already
                    return
                if reply.status >= 300:
                    raise CarrierError(f"Twilio refused to change the call (status {reply.status}).")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CarrierError(f"Twilio could not be reached: {type(error).__name__}.") from error


def transfer_twiml(transfer: Transfer) -> str | None:
    """A REFER for SIP addresses where one is asked for, else a second leg to the number."""
    number = transfer.number.strip()
    if not number:
        return None
    is_sip = number.lower().startswith(("sip:", "sips:"))
    if is_sip:
        pairs = "&".join(
            f"{quote(name)}={quote(value)}" for name, value in transfer.headers.items() if name.lower().startswith("x-")
        )
        target = f"<Sip>{escape(number + ('?' + pairs if pairs else ''))}</Sip>"
    else:
        target = f"<Number>{escape(number)}</Number>"
    if transfer.method == "refer" and is_sip:
        return f"<Response><Refer>{target}</Refer></Response>"
    caller = f" callerId={quoteattr(transfer.caller_id)}" if transfer.caller_id else ""
    return f"<Response><Dial{caller}>{target}</Dial></Response>"


def is_signed(token: str, url: str, fields: Mapping[str, str], signature: str) -> bool:
    """HMAC-SHA1 over the address and the sorted fields, as Twilio computes it."""
    text = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    expected = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    return hmac.compare_digest(expected.encode(), signature.encode())


def caller_of(fields: Mapping[str, str]) -> Caller:
    """The signature covers names and values in one row, so that a value could swallow the next field: its form is checked."""
    call = fields.get("CallSid", "")
    if not _CALL.fullmatch(call):
        raise Invalid("The call's id is none of Twilio's.")
    headers = {name.removeprefix(_SIP_HEADER): v for name, v in fields.items() if name.startswith(_SIP_HEADER)}
    return Caller(call=call, number=fields.get("From"), called=fields.get("To"), headers=headers)


def stream_answer(url: str) -> str:
    return f"<Response><Connect><Stream url={quoteattr(url)}/></Connect></Response>"


def busy_answer() -> str:
    return '<Response><Reject reason="busy"/></Response>'
