"""Changes of an agent that a client pushes: a batch of commands, which is applied whole or not at all."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Command(Struct, frozen=True, kw_only=True):
    """`payload` holds the fields of its type, in camelCase. One that a client left unset is not there."""

    type: str
    payload: dict[str, Any]


class Batch(Struct, frozen=True, kw_only=True):
    sequence: int  # the last step of the branch that the client knows
    commands: tuple[Command, ...]
