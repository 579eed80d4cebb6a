"""What a call asks of whoever conducts the conversation, and how it is told to go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from vivavoce.domain.agent import Pronunciation
from vivavoce.domain.call import Played, Spoken
from vivavoce.domain.conversation import EndReason
from vivavoce.speech.interface import Hints, Voice
from vivavoce.voice import barge_in, dtmf, endpointing


class Said(Struct, frozen=True, kw_only=True):
    """What the caller contributed; neither text nor digits is silence."""

    text: str = ""
    digits: str = ""
    spoken: Spoken = Spoken()


class Transfer(Struct, frozen=True, kw_only=True):
    """To whom the call goes, and by which act of telephony."""

    destination: str
    method: Literal["refer", "invite", "bye"] = "bye"
    number: str = ""  # telephone number or SIP address
    caller_id: str = ""
    headers: dict[str, str] = {}


class Manner(Struct, frozen=True, kw_only=True):
    """How the call listens and speaks until the next turn."""

    endpointing: endpointing.Settings = endpointing.Settings()
    barge_in: barge_in.Settings = barge_in.Settings()
    keys: dtmf.Settings = dtmf.Settings()
    hears_speech: bool = True
    silence_seconds: float = 7.0
    hints: Hints = Hints()
    is_recording: bool = True  # False: silence is recorded in place of both sides


class Saying(Struct, frozen=True, kw_only=True):
    """Words to be said now. An interim one bridges a wait and is not part of the reply."""

    text: str
    voice: Voice = Voice()
    pronunciations: tuple[Pronunciation, ...] = ()
    is_interim: bool = False
    digits: str = ""  # keys to be pressed in place of words


class Outcome(Struct, frozen=True, kw_only=True):
    """The turn is committed."""

    index: int
    manner: Manner
    ending: EndReason | None = None
    transfer: Transfer | None = None


Conducted: TypeAlias = Saying | Outcome


class Conduct(Protocol):
    def start(self) -> AsyncIterator[Conducted]:
        """The greeting."""
        ...

    def take_turn(self, said: Said) -> AsyncIterator[Conducted]: ...

    def give_up(self, problem: str) -> AsyncIterator[Conducted]:
        """The call cannot go on: an apology, and a person where the agent has one to hand over to."""
        ...

    async def played(self, index: int, played: Played) -> None:
        """What of the reply was heard."""
        ...

    async def end(self, reason: EndReason) -> None:
        """The call is over; nothing happens to a conversation that has ended by itself."""
        ...

    @property
    def apology(self) -> Saying:
        """For what was not understood."""
        ...
