"""Linear PCM as the whole house has it: 16-bit little-endian mono at 16 kHz, in frames of 20 ms."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

RATE = 16_000  # samples a second
FRAME = 320  # samples: 20 ms
FRAME_SECONDS = FRAME / RATE
SAMPLE_BYTES = 2
FRAME_BYTES = FRAME * SAMPLE_BYTES
SILENCE = bytes(FRAME_BYTES)

Samples: TypeAlias = NDArray[np.int16]
Floats: TypeAlias = NDArray[np.float32]


def samples(pcm: bytes) -> Samples:
    """A last half sample is dropped."""
    return np.frombuffer(pcm, dtype="<i2", count=len(pcm) // SAMPLE_BYTES)


def floats(pcm: bytes) -> Floats:
    """-1 to 1."""
    return samples(pcm).astype(np.float32) / np.float32(32768)


def of_floats(values: NDArray[Any]) -> bytes:
    """What is louder than full scale is clipped; what is no number is silence."""
    sound = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=-1.0)
    return bytes(np.round(np.clip(sound, -1.0, 1.0) * 32767).astype("<i2").tobytes())


def seconds(pcm: bytes) -> float:
    return len(pcm) / (SAMPLE_BYTES * RATE)


def silence(of_samples: int) -> bytes:
    return bytes(of_samples * SAMPLE_BYTES)


def level(pcm: bytes) -> float:
    """Root mean square, of full scale."""
    values = floats(pcm)
    return float(np.sqrt(np.mean(values * values))) if len(values) else 0.0


def levels(pcm: bytes, seconds: float) -> list[float]:
    """Of each block of so many seconds; a last one that is not whole is left out."""
    values, block = floats(pcm), round(seconds * RATE)
    blocks = values[: len(values) // block * block].reshape(-1, block)
    found: list[float] = np.sqrt(np.mean(blocks * blocks, axis=1)).tolist()
    return found


def whole_frames(pcm: bytes) -> bytes:
    """Filled up with silence to the end of its last frame."""
    return pcm + bytes(-len(pcm) % FRAME_BYTES)
