"""Calls from a page: 20 ms frames of 16-bit PCM at 16 kHz as binary messages, everything else as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from vivavoce.errors import NOT_JSON
from vivavoce.telephony.dialect import Event, Heard, Malformed, Message, NoControl, Pressed, Reached, Started, Stopped
from vivavoce.telephony.doors import Door

MOST_BYTES = 64_000  # of one message: 2 s of sound
PATH = "/v1/calls/{token}"


class _FromPage(Struct, frozen=True):
    type: str
    key: str = ""
    mark: str = ""


_decode = msgspec.json.Decoder(_FromPage).decode


class BrowserDialect:
    has_marks = True

    def read(self, message: Message) -> Event | None:
        if isinstance(message, bytes):
            if not message or len(message) % 2 or len(message) > MOST_BYTES:
                raise Malformed
            return Heard(message)
        try:
            said = _decode(message)
        except NOT_JSON as error:
            raise Malformed from error
        match said.type:
            case "start":
                return Started()
            case "key" if said.key:
                return Pressed(said.key[0])
            case "mark":
                return Reached(said.mark)
            case "stop":
                return Stopped()
            case _:
                raise Malformed

    def sound(self, frame: bytes) -> Message:
        return frame

    def clear(self) -> Message:
        return '{"type":"clear"}'

    def mark(self, name: str) -> Message:
        return msgspec.json.encode({"type": "mark", "mark": name}).decode()

    def told(self, event: dict[str, Any]) -> Message:
        return msgspec.json.encode(event).decode()


DOOR = Door(path=PATH, dialect=BrowserDialect, control=NoControl())
