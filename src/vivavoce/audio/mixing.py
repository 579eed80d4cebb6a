"""Two channels beside each other, apart again, or on top of each other. All are 16-bit PCM of equal length."""

from __future__ import annotations

import numpy as np

from vivavoce.audio import pcm


def interleaved(left: bytes, right: bytes) -> bytes:
    return np.stack((pcm.samples(left), pcm.samples(right)), axis=1).tobytes()


def channel(stereo: bytes, number: int) -> bytes:
    """0 is left, 1 is right."""
    return pcm.samples(stereo).reshape(-1, 2)[:, number].tobytes()


def mixed(stereo: bytes) -> bytes:
    """Half of each, so that nothing is clipped."""
    both = pcm.samples(stereo).reshape(-1, 2).astype(np.int32)
    return bytes((both.sum(axis=1) // 2).astype("<i2").tobytes())
