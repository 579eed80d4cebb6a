"""The caller's sound as telephone carriers send it: G.711 at 8 kHz, between here and the house's own form."""

from __future__ import annotations

import base64
import binascii

from vivavoce.audio import g711, pcm
from vivavoce.audio.resampling import Resampler
from vivavoce.telephony.dialect import Malformed

MOST_CHARACTERS = 100_000  # of one message's sound: 9 s


class Ulaw:
    """Both directions of one call, in µ-law."""

    def __init__(self) -> None:
        self._in = Resampler(g711.RATE, pcm.RATE)
        self._out = Resampler(pcm.RATE, g711.RATE)

    def read(self, payload: str) -> bytes:
        """From Base64. Raises Malformed."""
        if len(payload) > MOST_CHARACTERS:
            raise Malformed
        try:
            coded = base64.b64decode(payload, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Malformed from error
        return self._in.feed(g711.from_ulaw(coded))

    def write(self, frame: bytes) -> str:
        """To Base64; "" while there is too little to send."""
        return base64.b64encode(g711.to_ulaw(self._out.feed(frame))).decode()
