"""From one sample rate to another: whole sounds by soxr, streams by a filter of our own that holds nothing back.

A stream resampler of soxr gives its sound in lumps of some 60 ms, the first after 80 ms, and keeps the end of a reply until
the next one comes: on the telephone the last syllable of a goodbye would never be heard.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from vivavoce.audio import pcm

_HALF = 16  # periods of the slower rate that the filter reaches to either side
_BAND = 0.95  # of the slower rate's band that is kept
_FEW = 4  # phases
_KAISER = 8.0  # 80 dB beyond it


def resampled(values: NDArray[Any], rate: int, to: int = pcm.RATE) -> pcm.Floats:
    """Samples of one channel, in floats."""
    sound = np.asarray(values, dtype=np.float32)
    return sound if rate == to else np.asarray(soxr.resample(sound, rate, to), dtype=np.float32)


class Resampler:
    """A stream of 16-bit PCM. Every piece gives as many samples as it lasts, 2 ms late; `flush` gives these 2 ms."""

    def __init__(self, rate: int, to: int) -> None:
        self._is_same = rate == to
        self._up, self._down = to // gcd(rate, to), rate // gcd(rate, to)
        self._rows = _filter(self._up, self._down)
        self._kept = np.zeros(self._rows.shape[1] - 1, np.float32)  # what the filter still reaches back to
        self._at = 0  # of the next sample, in steps of both rates, from the first of the next piece

    def feed(self, sound: bytes) -> bytes:
        return sound if self._is_same else self._fed(pcm.samples(sound).astype(np.float32))

    def flush(self) -> bytes:
        """The end of the sound; after it comes another one."""
        if self._is_same:
            return b""
        rest = self._fed(np.zeros(self._rows.shape[1] // 2, np.float32))
        self._kept = np.zeros_like(self._kept)
        self._at = 0
        return rest

    def _fed(self, values: pcm.Floats) -> bytes:
        sound = np.concatenate((self._kept, values))
        due = np.arange(self._at, len(values) * self._up, self._down)
        self._at += len(due) * self._down - len(values) * self._up
        self._kept = sound[len(values) :]
        if not len(due):
            return b""
        phases = due % self._up
        if self._up > _FEW:  # 44.1 kHz: most of what a convolution gives would not be wanted
            windows = np.lib.stride_tricks.sliding_window_view(sound, self._rows.shape[1])[due // self._up]
            found = np.einsum("ij,ij->i", windows, self._rows[phases, ::-1])
        else:
            found = np.empty(len(due), np.float32)
            for phase in range(self._up):
                chosen = phases == phase
                if chosen.any():
                    found[chosen] = np.convolve(sound, self._rows[phase], "valid")[due[chosen] // self._up]
        return bytes(np.clip(np.round(found), -32768, 32767).astype("<i2").tobytes())


@lru_cache(maxsize=32)
def _filter(up: int, down: int) -> pcm.Floats:
    """A windowed sinc, one row for each phase between two samples that come in."""
    slow = max(up, down)
    at = np.arange(-_HALF * slow, _HALF * slow + 1)
    taps = np.sinc(at * _BAND / slow) * np.kaiser(len(at), _KAISER)
    taps *= up / taps.sum()
    padded = np.pad(taps, (0, -len(taps) % up))
    return np.ascontiguousarray(padded.reshape(-1, up).T, dtype=np.float32)
