"""Keypad tones (ITU-T Q.23): the two frequencies of each key, made and recognised."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vivavoce.audio import pcm

LOW = (697, 770, 852, 941)
HIGH = (1209, 1336, 1477, 1633)
KEYS = ("123A", "456B", "789C", "*0#D")
_PAIRS = {key: (LOW[row], HIGH[column]) for row, keys in enumerate(KEYS) for column, key in enumerate(keys)}
_SHARE = 0.35  # of a frame's energy in each of its two frequencies, at least
_LOUD = 0.01  # of full scale


@lru_cache(maxsize=64)
def tone(key: str, *, seconds: float = 0.1) -> bytes:
    time = np.arange(round(seconds * pcm.RATE)) / pcm.RATE
    low, high = _PAIRS[key]
    return pcm.of_floats(0.3 * np.sin(2 * np.pi * low * time) + 0.3 * np.sin(2 * np.pi * high * time))


def heard(frame: bytes) -> str:
    """The key whose tone fills a piece of sound (20 ms or more); "" when none does."""
    values = pcm.floats(frame)
    energy = float(np.sum(values * values))
    if len(values) == 0 or energy / len(values) < _LOUD * _LOUD:
        return ""
    time = np.arange(len(values)) / pcm.RATE
    low, high = (
        [
            abs(np.sum(values * np.exp(-2j * np.pi * frequency * time))) ** 2 * 2 / len(values) / energy
            for frequency in band
        ]
        for band in (LOW, HIGH)
    )
    row, column = int(np.argmax(low)), int(np.argmax(high))
    return KEYS[row][column] if low[row] > _SHARE and high[column] > _SHARE else ""
