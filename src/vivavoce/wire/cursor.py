"""The place where a list goes on, as an opaque text that fits into a URL."""

from __future__ import annotations

import base64
import binascii
import hashlib

import msgspec
from msgspec import Struct

from vivavoce.domain.record import Criteria, Order, Position

VERSION = 1
MAX_CHARACTERS = 200
_DIGEST_BYTES = 8


class _Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    value: int
    number: int
    question: bytes  # a hash of what was asked: another question has other pages


_decode = msgspec.msgpack.Decoder(_Cursor).decode


class CursorInvalid(ValueError):
    """It is none of ours, or belongs to another question."""


def encode(position: Position, criteria: Criteria, order: Order, about: str) -> str:
    """`about` is whatever else makes it another list: agent, account, mode, question."""
    body = msgspec.msgpack.encode(_Cursor(VERSION, position.value, position.number, _question(criteria, order, about)))
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def decode(text: str, criteria: Criteria, order: Order, about: str) -> Position:
    try:
        if len(text) > MAX_CHARACTERS or not text.isascii():
            raise CursorInvalid("cursor is not one that this API has given.")
        body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        found = _decode(body)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise CursorInvalid("cursor is not one that this API has given; begin again without it.") from error
    if found.version != VERSION or not 0 <= found.number < 2**63 or not -(2**63) <= found.value < 2**63:
        raise CursorInvalid("cursor is not one that this API has given; begin again without it.")
    if found.question != _question(criteria, order, about):
        raise CursorInvalid(
            "cursor belongs to a list with other filters or another order; keep them the same for every page."
        )
    return Position(value=found.value, number=found.number)


def _question(criteria: Criteria, order: Order, about: str) -> bytes:
    return hashlib.blake2b(msgspec.json.encode((criteria, order, about)), digest_size=_DIGEST_BYTES).digest()
