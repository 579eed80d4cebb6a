"""From one sample rate to another, as a whole or as it arrives."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from vivavoce.audio import pcm


def resampled(values: NDArray[Any], rate: int, to: int = pcm.RATE) -> pcm.Floats:
    """Samples of one channel, in floats."""
    sound = np.asarray(values, dtype=np.float32)
    return sound if rate == to else np.asarray(soxr.resample(sound, rate, to), dtype=np.float32)


class Resampler:
    """A stream of 16-bit PCM. What goes in comes out a little later: `flush` gives the rest."""

    def __init__(self, rate: int, to: int) -> None:
        self._stream = soxr.ResampleStream(rate, to, 1, dtype="int16", quality=soxr.LQ) if rate != to else None

    def feed(self, sound: bytes) -> bytes:
        if self._stream is None:
            return sound
        return np.asarray(self._stream.resample_chunk(pcm.samples(sound)), dtype="<i2").tobytes()

    def flush(self) -> bytes:
        if self._stream is None:
            return b""
        return np.asarray(self._stream.resample_chunk(np.zeros(0, np.int16), last=True), dtype="<i2").tobytes()
