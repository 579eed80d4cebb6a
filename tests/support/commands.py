"""Batches of commands as the field's command-line client sends them."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import ParseDict

from vivavoce.wire.commands.batch import CommandBatch


def message(sequence: int, *commands: tuple[str, dict[str, Any]]) -> Any:
    """A batch, not yet serialised. Each command is (type, fields in the wire's own names or in camelCase)."""
    made = CommandBatch(last_known_sequence=sequence)
    for number, (type, payload) in enumerate(commands, 1):
        command = made.commands.add(type=type, command_id=f"c{number}")
        getattr(command, type).SetInParent()
        ParseDict(payload, getattr(command, type))
    return made


def batch(sequence: int, *commands: tuple[str, dict[str, Any]]) -> bytes:
    return bytes(message(sequence, *commands).SerializeToString())


def topic(id: str, name: str, content: str = "x") -> tuple[str, dict[str, Any]]:
    return "create_topic", {"id": id, "name": name, "content": content, "actions": "", "is_active": True}
