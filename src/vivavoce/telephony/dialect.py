"""How a carrier speaks on its socket: its messages become what the line understands, and the other way round."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from vivavoce.errors import VivavoceError
from vivavoce.voice.conduct import Transfer


class CarrierError(VivavoceError):
    """The carrier's own API has refused, or cannot be reached."""

    code = "CARRIER_UNAVAILABLE"
    status = 502
    retryable = True


class Malformed(Exception):  # noqa: N818  # what is wrong, not that it is an error
    """A message that is not of the dialect; the call goes on without it."""


class Started(Struct, frozen=True):
    """The carrier has begun to send; `call` is its own id of the call, "" where it has none."""

    call: str = ""


class Heard(Struct, frozen=True):
    """Sound of the caller, 16-bit at 16 kHz; `number` counts up where the carrier counts."""

    sound: bytes
    number: int | None = None


class Pressed(Struct, frozen=True):
    key: str


class Reached(Struct, frozen=True):
    """What was sent before a mark of this name has been played."""

    mark: str


class Stopped(Struct, frozen=True):
    pass


class Complained(Struct, frozen=True):
    """Something that it was sent is wrong, by the carrier's word."""


Event: TypeAlias = Started | Heard | Pressed | Reached | Stopped | Complained
Message: TypeAlias = str | bytes


class Dialect(Protocol):
    """One call's state of it. Raises Malformed for what it cannot read."""

    has_marks: bool

    def read(self, message: Message) -> Event | None:
        """None for messages that change nothing."""
        ...

    def sound(self, frame: bytes) -> Message | None:
        """20 ms at 16 kHz; None when the carrier is to be sent nothing yet."""
        ...

    def clear(self) -> Message | None: ...

    def mark(self, name: str) -> Message | None: ...

    def told(self, event: dict[str, Any]) -> Message | None:
        """For lines with a screen."""
        ...


class Control(Protocol):
    """What is done to a call beside its sound, by the carrier's API."""

    async def transfer(self, call: str, transfer: Transfer) -> bool:
        """False when this carrier cannot. Raises CarrierError."""
        ...

    async def hang_up(self, call: str) -> None: ...


class NoControl:
    """Lines that end by being closed, and cannot be passed on."""

    async def transfer(self, call: str, transfer: Transfer) -> bool:
        return False

    async def hang_up(self, call: str) -> None: ...
