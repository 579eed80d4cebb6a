"""Spans of samples that are to be silent: merged, widened, drawn to pauses, applied. Half-open, in samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

from vivavoce.audio import pcm

Span: TypeAlias = tuple[int, int]
PAUSE_SAMPLES = 480  # 30 ms: over which loudness is looked at


def merged(spans: Iterable[Span], *, gap: int = 0) -> tuple[Span, ...]:
    """In order; those that touch, or lie no further than `gap` apart, are one."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if found and start <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def widened(span: Span, by: int, *, within: Span) -> Span:
    return max(within[0], span[0] - by), min(within[1], span[1] + by)


def at_pauses(sound: bytes, span: Span, *, reach: int, within: Span) -> Span:
    """Each end moved outwards to where it is quietest, at most `reach` away: a word is not cut in the middle."""
    start, end = span
    before = max(within[0], start - reach)
    after = min(within[1], end + reach)
    return _quietest(sound, before, start, is_last=True), _quietest(sound, end, after, is_last=False)


def _quietest(sound: bytes, low: int, high: int, *, is_last: bool) -> int:
    if high - low < PAUSE_SAMPLES:
        return low if is_last else high
    values = pcm.floats(sound[low * 2 : high * 2])
    blocks = values[: len(values) // PAUSE_SAMPLES * PAUSE_SAMPLES].reshape(-1, PAUSE_SAMPLES)
    loudness = np.sqrt(np.mean(blocks * blocks, axis=1))
    quiet = np.flatnonzero(loudness <= loudness.min() * 1.5 + 1e-4)
    chosen = int(quiet[-1] if is_last else quiet[0])  # the one nearest to what is muted
    return low + chosen * PAUSE_SAMPLES + PAUSE_SAMPLES // 2


def muted(sound: bytes, spans: Sequence[Span], *, first: int = 0) -> bytes:
    """`first` is the number of the first sample of `sound`. What lies outside of the spans stays as it was, bit for bit."""
    if not spans:
        return sound
    values = pcm.samples(sound).copy()
    for start, end in spans:
        values[max(0, start - first) : max(0, end - first)] = 0
    return values.tobytes()
