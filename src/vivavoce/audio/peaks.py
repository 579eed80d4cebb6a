"""The outline of a sound, for drawing it: the loudest sample of each short stretch, by channel."""

from __future__ import annotations

import numpy as np

from vivavoce.audio import pcm


class Outline:
    """Fed with interleaved PCM in pieces of any length; `samples` is how long the whole is, `points` how finely it is drawn."""

    def __init__(self, *, channels: int, samples: int, points: int) -> None:
        self._channels = channels
        self._stretch = max(1, -(-samples // points))
        self._loudest = np.zeros((channels, -(-samples // self._stretch)), dtype=np.int32)
        self._rest = b""
        self._at = 0

    def add(self, sound: bytes) -> None:
        block = self._channels * pcm.SAMPLE_BYTES
        whole = self._rest + sound
        count = len(whole) // block
        self._rest = whole[count * block :]
        if not count:
            return
        values = np.abs(np.frombuffer(whole, dtype="<i2", count=count * self._channels).astype(np.int32))
        places = np.minimum((self._at + np.arange(count)) // self._stretch, self._loudest.shape[1] - 1)
        for channel in range(self._channels):
            np.maximum.at(self._loudest[channel], places, values[channel :: self._channels])
        self._at += count

    @property
    def peaks(self) -> list[list[float]]:
        """For each channel, values from 0 to 1."""
        return [[round(float(v) / 32768, 3) for v in channel] for channel in self._loudest]
