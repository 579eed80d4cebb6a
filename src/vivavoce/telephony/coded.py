"""The caller's sound as telephone carriers send it: G.711 at 8 kHz, between here and the house's own form."""

from __future__ import annotations

import base64
import binascii
import re

from vivavoce.audio import g711, pcm
from vivavoce.audio.resampling import Resampler
from vivavoce.telephony.dialect import Heard, Malformed

_NUMBER = re.compile(r"[0-9]{1,17}")
MOST_CHARACTERS = 100_000  # of one message's sound: 9 s


class Ulaw:
    """Both directions of one call, in µ-law."""

    def __init__(self) -> None:
        self._in = Resampler(g711.RATE, pcm.RATE)
        self._out = Resampler(pcm.RATE, g711.RATE)
        self._number = -1  # of the last piece

    def read(self, payload: str) -> bytes:
        """From Base64. Raises Malformed."""
        if len(payload) > MOST_CHARACTERS:
            raise Malformed
        try:
            coded = base64.b64decode(payload, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Malformed from error
        return self._in.feed(g711.from_ulaw(coded))

    def heard(self, track: str, chunk: str | int, payload: str) -> Heard | None:
        """The caller's sound. What comes twice or late is not decoded: it would disturb the sound that follows."""
        if track != "inbound":
            return None
        number = int(chunk) if _NUMBER.fullmatch(str(chunk)) else None
        if number is not None:
            if number <= self._number:
                return None
            self._number = number
        return Heard(self.read(payload), number)

    def write(self, frame: bytes) -> str:
        """To Base64; "" while there is too little to send."""
        return base64.b64encode(g711.to_ulaw(self._out.feed(frame))).decode()
