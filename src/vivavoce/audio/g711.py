"""Telephone coding: µ-law and A-law (ITU-T G.711), by tables over all values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 8_000  # samples a second, one byte each
_BIAS = 0x84
_CLIP = 8158  # of 14 bits: one more would need a ninth segment


def _decoded_ulaw() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)
    return np.where(code & 0x80, _BIAS - magnitude, magnitude - _BIAS).astype("<i2")


def _encoded_ulaw() -> NDArray[np.uint8]:
    """Index: the sample as an unsigned 16-bit number."""
    value = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2  # 14 bits
    magnitude = np.minimum(np.abs(value), _CLIP) + (_BIAS >> 2)
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 5
    mantissa = (magnitude >> (exponent + 1)) & 0x0F
    coded = ~(np.where(value < 0, 0x80, 0) | (exponent << 4) | mantissa) & 0xFF
    return np.asarray(coded, dtype=np.uint8)


def _decoded_alaw() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code & 0x70) >> 4
    magnitude = (code & 0x0F) << 4
    magnitude = np.where(exponent == 0, magnitude + 8, (magnitude + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype("<i2")


def _encoded_alaw() -> NDArray[np.uint8]:
    value = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 3  # 13 bits
    is_positive = value >= 0
    magnitude = np.where(is_positive, value, -value - 1)
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    mantissa = np.where(exponent < 2, magnitude >> 1, magnitude >> exponent) & 0x0F
    return (((exponent << 4) | mantissa) ^ np.where(is_positive, 0xD5, 0x55)).astype(np.uint8)


_FROM_ULAW, _TO_ULAW = _decoded_ulaw(), _encoded_ulaw()
_FROM_ALAW, _TO_ALAW = _decoded_alaw(), _encoded_alaw()


def from_ulaw(coded: bytes) -> bytes:
    return _FROM_ULAW[np.frombuffer(coded, np.uint8)].tobytes()


def to_ulaw(pcm: bytes) -> bytes:
    return bytes(_TO_ULAW[np.frombuffer(pcm, "<u2", count=len(pcm) // 2)].tobytes())


def from_alaw(coded: bytes) -> bytes:
    return _FROM_ALAW[np.frombuffer(coded, np.uint8)].tobytes()


def to_alaw(pcm: bytes) -> bytes:
    return bytes(_TO_ALAW[np.frombuffer(pcm, "<u2", count=len(pcm) // 2)].tobytes())
