"""What a turn tells while it runs. Everything before `Finished` is provisional."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from vivavoce.domain.conversation import FunctionCall, Place, Snapshot, Turn


class TextReleased(Struct, frozen=True):
    """Words of the reply, and how a voice is to say them. `is_keys`: they are keys to be pressed."""

    text: str
    language: str = ""
    voice: dict[str, Any] | None = None  # as author code has set it
    is_keys: bool = False


class InterimSpoken(Struct, frozen=True):
    """Words for the wait; not part of the reply."""

    text: str


class CallStarted(Struct, frozen=True):
    name: str


class CallFinished(Struct, frozen=True):
    call: FunctionCall


class Moved(Struct, frozen=True):
    place: Place


class Finished(Struct, frozen=True):
    """The record of the turn and the snapshot after it, to be committed together."""

    turn: Turn
    snapshot: Snapshot


Progress: TypeAlias = TextReleased | InterimSpoken | CallStarted | CallFinished | Moved | Finished
