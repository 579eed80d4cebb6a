"""Voice activity by loudness alone: for machines without the voice extra. It takes any noise for speech."""

from __future__ import annotations

from vivavoce.audio import pcm

NAME = "loudness"
FLOOR = 0.01  # of full scale: what is quieter is never speech


class LoudnessActivity:
    name = NAME

    def detector(self) -> _Detector:
        return _Detector()


class _Detector:
    """What stands out from the quietest of the last seconds is speech."""

    def __init__(self) -> None:
        self._noise = FLOOR / 3

    def hear(self, frame: bytes) -> float:
        level = pcm.level(frame)
        # Falls at once and rises slowly, some 2 s for a doubling.
        self._noise = min(level, self._noise) if level < self._noise else min(self._noise * 1.007 + 1e-7, FLOOR * 5)
        return min(1.0, level / (2 * max(FLOOR, self._noise * 3)))
