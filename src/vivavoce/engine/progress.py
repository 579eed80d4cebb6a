"""What a turn tells while it runs. Everything before `Finished` is provisional."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from vivavoce.domain.conversation import FunctionCall, Place, Snapshot, Turn


class TextReleased(Struct, frozen=True):
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


Progress: TypeAlias = TextReleased | CallStarted | CallFinished | Moved | Finished
