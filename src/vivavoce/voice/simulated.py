"""A caller that follows a script: for simulated calls, tests and measurements. It is a line, at either end of a socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from vivavoce.audio import pcm
from vivavoce.voice.conduct import Transfer
from vivavoce.voice.line import Arrived

ANSWER_SECONDS = 0.4  # of silence from the agent before the caller takes its turn
PATIENCE_SECONDS = 20.0  # to wait for the agent to say anything at all
KEY_SECONDS = 0.3  # between two keys


class Speak(Struct, frozen=True):
    """Sound to be said once the agent has finished, or so many seconds after it has begun: to interrupt it."""

    sound: bytes
    text: str = ""
    interrupts_after: float | None = None


class Press(Struct, frozen=True):
    keys: str


class Wait(Struct, frozen=True):
    """Says nothing, until the agent has spoken again."""


class HangUp(Struct, frozen=True):
    pass


Act: TypeAlias = Speak | Press | Wait | HangUp


class SimulatedCaller:
    """Each `take` is 20 ms of its time. After its last act it hears the agent out and hangs up."""

    def __init__(
        self,
        acts: Sequence[Act],
        *,
        is_immediate: bool = False,
        told: Callable[[dict[str, object]], None] | None = None,
    ) -> None:
        """`is_immediate`: the first act begins at once, as a recording does that has the caller's pauses in it."""
        self._acts = list(acts)
        self._sound = b""
        self._keys = ""
        self._now = 0.0
        self._key_at = 0.0
        self._agent_began: float | None = None  # its present or last stretch of speech
        self._agent_last: float | None = None
        self._since = 0.0  # when this caller last did something
        self._is_immediate = is_immediate
        self.heard = bytearray()  # what the agent said, on this caller's clock
        self.transferred: Transfer | None = None
        self.is_hung_up = False
        self.told: list[dict[str, object]] = []
        self._told = told
        self.clears = 0

    # As a line.

    def take(self) -> Arrived:
        self._now += pcm.FRAME_SECONDS
        if self.is_hung_up:
            return Arrived(pcm.SILENCE, "", True)
        self._act()
        if self.is_hung_up:
            return Arrived(pcm.SILENCE, "", True)
        frame, self._sound = self._sound[: pcm.FRAME_BYTES], self._sound[pcm.FRAME_BYTES :]
        if frame:
            self._since = self._now
        key = ""
        if self._keys and self._now >= self._key_at:
            key, self._keys = self._keys[0], self._keys[1:]
            self._key_at = self._now + KEY_SECONDS
            self._since = self._now
        return Arrived(frame + bytes(pcm.FRAME_BYTES - len(frame)), key, False)

    def _act(self) -> None:
        if self._sound or self._keys:
            return
        act = self._acts[0] if self._acts else HangUp()
        if isinstance(act, Speak) and act.interrupts_after is not None:
            began = self._agent_began
            is_due = began is not None and began > self._since and self._now - began >= act.interrupts_after
        else:
            is_due = self._is_immediate or self._is_my_turn
        if not is_due and self._now - max(self._since, self._agent_last or 0.0) < PATIENCE_SECONDS:
            return
        self._is_immediate = False
        self._since = self._now
        if self._acts:
            self._acts.pop(0)
        match act:
            case Speak():
                self._sound = act.sound
            case Press():
                self._keys, self._key_at = act.keys, self._now
            case Wait():
                pass
            case HangUp():
                self.is_hung_up = True

    @property
    def _is_my_turn(self) -> bool:
        """The agent has spoken since this caller did anything, and has been silent for a moment."""
        last = self._agent_last
        return last is not None and last > self._since and self._now - last >= ANSWER_SECONDS

    def send(self, frame: bytes) -> None:
        if self._agent_last is None or self._now - self._agent_last > ANSWER_SECONDS or self._agent_last <= self._since:
            self._agent_began = self._now
        self._agent_last = self._now
        self.heard += bytes(max(0, round(self._now * pcm.RATE) * 2 - len(self.heard))) + frame

    def clear(self) -> None:
        self.clears += 1

    async def played(self) -> None: ...

    async def transfer(self, transfer: Transfer) -> bool:
        self.transferred = transfer
        return True

    async def hang_up(self) -> None:
        self.is_hung_up = True

    def tell(self, event: dict[str, object]) -> None:
        self.told.append(event)
        if self._told is not None:
            self._told(event)
