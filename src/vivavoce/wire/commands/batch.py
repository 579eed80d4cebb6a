"""Reading a batch of commands. What cannot be read is refused, by the number and type of the command."""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from vivavoce.domain.pushed import Batch, Command
from vivavoce.errors import Invalid

MEDIA_TYPE = "application/octet-stream"
MAX_BYTES = 8 << 20
MOST_COMMANDS = 50_000
_UNREADABLE = "The body is no batch of commands that can be read: it is cut off or damaged. Nothing was changed."


def _compiled() -> tuple[Any, dict[str, frozenset[int]]]:
    """(the class of a batch, the reserved numbers of each message), of commands.proto as `make protos` has compiled it."""
    pool = DescriptorPool()
    content = resources.files("vivavoce.wire.commands").joinpath("commands.binpb").read_bytes()
    reserved = {}
    for file in FileDescriptorSet.FromString(content).file:
        pool.Add(file)
        for message in file.message_type:
            numbers = (number for span in message.reserved_range for number in range(span.start, span.end))
            reserved[f"{file.package}.{message.name}"] = frozenset(numbers)
    return GetMessageClass(pool.FindMessageTypeByName("vivavoce.commands.CommandBatch")), reserved


CommandBatch, _PASSED_OVER = _compiled()


class BadBatch(Invalid):
    code = "COMMAND_BATCH_INVALID"


def read(body: bytes) -> Batch:
    """Raises BadBatch."""
    message = CommandBatch()
    _check_count(body)
    try:
        message.ParseFromString(body)
    except (DecodeError, ValueError, RecursionError):
        raise BadBatch(_UNREADABLE) from None
    if not message.commands:
        raise BadBatch("The batch has no commands. Nothing was changed.")
    commands = tuple(_command(number, each) for number, each in enumerate(message.commands, 1))
    return Batch(sequence=message.last_known_sequence, commands=commands)


def _check_count(body: bytes) -> None:
    """Before any of them is read: each takes many times its own size, and an empty one has two bytes."""
    at, count = 0, 0
    while at < len(body):
        tag, at = _varint(body, at)
        if tag not in (_SEQUENCE, _COMMANDS):
            raise BadBatch(f"The batch has a field that is not known here, number {tag >> 3}. Nothing was changed.")
        value, at = _varint(body, at)
        if tag == _COMMANDS:
            at, count = at + value, count + 1
        if count > MOST_COMMANDS:
            raise BadBatch(f"A batch may have {MOST_COMMANDS} commands; this one has more.")


_SEQUENCE = 1 << 3  # as a number
_COMMANDS = 2 << 3 | 2  # with their length


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(body) and shift < 70:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise BadBatch(_UNREADABLE)


def _command(number: int, message: Any) -> Command:
    carried = message.WhichOneof("payload")
    said = message.type[:64]
    if carried is None:
        raise BadBatch(f"Command {number} ({said!r}) is of a type that is not known here. Nothing was changed.")
    if said != carried:
        raise BadBatch(f"Command {number} says that it is {said!r} and carries {carried!r}. Nothing was changed.")
    strange = _strange(getattr(message, carried))
    if strange is not None:
        raise BadBatch(f"Command {number} ({said}) has {strange}. Nothing was changed.")
    try:
        payload = MessageToDict(
            getattr(message, carried), always_print_fields_with_no_presence=True, use_integers_for_enums=True
        )
    except (SerializeToJsonError, ValueError, RecursionError):
        raise BadBatch(
            f"Command {number} ({said}) holds a value that is no JSON, such as an infinite number. Nothing was changed."
        ) from None
    return Command(type=carried, payload=_whole(payload))


LARGEST = 2.0**53  # whole numbers are exact up to it
_FLOATS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)


def _strange(message: Any) -> str | None:
    """A field, of the message or of one within it, that is neither declared nor passed over (half of a change is no change), or
    a number that nobody means."""
    kind = message.DESCRIPTOR
    for field in UnknownFieldSet(message):
        if field.field_number not in _PASSED_OVER.get(kind.full_name, ()):
            return f"a field that is not known here, number {field.field_number} of {kind.name}: is the client newer?"
    for field, value in message.ListFields():
        if field.message_type is None:
            if field.cpp_type in _FLOATS and not all(
                abs(n) <= LARGEST for n in (value if field.is_repeated else (value,))
            ):
                return f"a number in {field.name} that is none, or too large"
            continue
        if field.message_type.GetOptions().map_entry:
            value = value.values() if field.message_type.fields_by_name["value"].message_type else ()
        elif not field.is_repeated:
            value = (value,)
        for each in value:
            if (found := _strange(each)) is not None:
                return found
    return None


def _whole(value: Any) -> Any:
    """The wire has floats only where authors write 3: those that are whole become what they were."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value
