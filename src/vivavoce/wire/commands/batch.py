"""Reading a batch of commands. What cannot be read is refused, by the number and type of the command."""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from vivavoce.domain.pushed import Batch, Command
from vivavoce.errors import Invalid

MEDIA_TYPE = "application/octet-stream"
MAX_BYTES = 32 << 20
MOST_COMMANDS = 50_000
_UNREADABLE = "The body is no batch of commands that can be read: it is cut off or damaged. Nothing was changed."


def _compiled() -> Any:
    """The class of a batch, of commands.proto as `make protos` has compiled it."""
    pool = DescriptorPool()
    content = resources.files("vivavoce.wire.commands").joinpath("commands.binpb").read_bytes()
    for file in FileDescriptorSet.FromString(content).file:
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("vivavoce.commands.CommandBatch"))


CommandBatch = _compiled()


class BadBatch(Invalid):
    code = "COMMAND_BATCH_INVALID"


def read(body: bytes) -> Batch:
    """Raises BadBatch."""
    message = CommandBatch()
    try:
        message.ParseFromString(body)
    except (DecodeError, ValueError, RecursionError):
        raise BadBatch(_UNREADABLE) from None
    if not message.commands:
        raise BadBatch("The batch has no commands. Nothing was changed.")
    if len(message.commands) > MOST_COMMANDS:
        raise BadBatch(f"A batch may have {MOST_COMMANDS} commands; this one has {len(message.commands)}.")
    commands = tuple(_command(number, each) for number, each in enumerate(message.commands, 1))
    return Batch(sequence=message.last_known_sequence, commands=commands)


def _command(number: int, message: Any) -> Command:
    carried = message.WhichOneof("payload")
    said = message.type[:64]
    if carried is None:
        raise BadBatch(f"Command {number} ({said!r}) is of a type that is not known here. Nothing was changed.")
    if said != carried:
        raise BadBatch(f"Command {number} says that it is {said!r} and carries {carried!r}. Nothing was changed.")
    try:
        payload = MessageToDict(
            getattr(message, carried), always_print_fields_with_no_presence=True, use_integers_for_enums=True
        )
    except (SerializeToJsonError, ValueError, RecursionError):
        raise BadBatch(
            f"Command {number} ({said}) holds a value that is no JSON, such as an infinite number. Nothing was changed."
        ) from None
    return Command(type=carried, payload=_whole(payload))


def _whole(value: Any) -> Any:
    """The wire has floats only where authors write 3: those that are whole become what they were."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value
