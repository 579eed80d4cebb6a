"""The other end of a call, as the call sees it, and the buffer in which what it sends waits for its turn."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from msgspec import Struct

from vivavoce.audio import pcm
from vivavoce.voice.conduct import Transfer

MOST_FRAMES = 100  # that wait: 2 s; a flood pushes the oldest out
CALM_FRAMES = 10  # above, pauses are shortened until the caller is heard without delay again
_QUIET = 0.005  # of full scale: a pause


class Arrived(Struct, frozen=True):
    """Since the last time: one frame, or None when none has come; keys; whether the other side is gone; codes of what was
    wrong with what it sent."""

    frame: bytes | None = None
    keys: str = ""
    is_gone: bool = False
    is_lost: bool = False  # not by the other side's own wish
    problems: tuple[str, ...] = ()


class Line(Protocol):
    """Nothing here waits: what cannot be sent is dropped, and the line is gone."""

    def take(self) -> Arrived: ...

    def send(self, frame: bytes) -> None:
        """20 ms to be played after what was sent before."""
        ...

    def clear(self) -> None:
        """What was sent and is not played yet will not be."""
        ...

    async def played(self) -> None:
        """Returns when what was sent has been heard, or can no longer be."""
        ...

    async def transfer(self, transfer: Transfer) -> bool:
        """False when this line cannot."""
        ...

    async def hang_up(self) -> None: ...

    def tell(self, event: dict[str, object]) -> None:
        """Lets a page that can show it know what was said; others ignore it."""
        ...


class Arrivals:
    """Sound in pieces of any length, given out in frames. Numbered pieces that come twice or late are dropped. `problems`
    are codes of what was wrong with it since the last time."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._rest = b""
        self._last: int | None = None
        self.dropped = 0  # frames
        self.problems: set[str] = set()

    def put(self, sound: bytes, number: int | None = None) -> None:
        if number is not None:
            if self._last is not None and number <= self._last:
                self.dropped += 1
                return
            self._last = number
        data = self._rest + sound
        whole = len(data) // pcm.FRAME_BYTES * pcm.FRAME_BYTES
        self._frames.extend(data[at : at + pcm.FRAME_BYTES] for at in range(0, whole, pcm.FRAME_BYTES))
        self._rest = data[whole:]
        while len(self._frames) > MOST_FRAMES:
            self._frames.popleft()
            self.dropped += 1
            self.problems.add("flood")

    def arrived(self, keys: str = "", *, is_gone: bool, is_lost: bool = False) -> Arrived:
        problems, self.problems = tuple(sorted(self.problems)), set()
        return Arrived(self.take(), keys, is_gone, is_lost, problems)

    def take(self) -> bytes | None:
        """After a burst the clocks are brought together by leaving out frames in which nothing is said."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        while len(self._frames) > CALM_FRAMES and pcm.level(frame) < _QUIET and pcm.level(self._frames[0]) < _QUIET:
            frame = self._frames.popleft()
            self.dropped += 1
        return frame
