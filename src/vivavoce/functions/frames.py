"""Length-prefixed messages between the server, a zygote and its workers."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec

MAX_FRAME_BYTES = 64 << 20
LENGTH = struct.Struct(">I")
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode


class Closed(Exception):
    """The other side is gone."""


def send(sock: socket.socket, message: dict[str, Any]) -> None:
    body = encode(message)
    sock.sendall(LENGTH.pack(len(body)) + body)


def receive(sock: socket.socket) -> Any:
    (length,) = LENGTH.unpack(_exactly(sock, LENGTH.size))
    if length > MAX_FRAME_BYTES:
        raise Closed(f"a frame of {length} bytes is more than {MAX_FRAME_BYTES}")
    return decode(_exactly(sock, length))


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = sock.recv(count)
    if len(data) == count:
        return data
    parts = bytearray(data)
    while data and len(parts) < count:
        data = sock.recv(count - len(parts))
        parts += data
    if len(parts) < count:
        raise Closed("the connection was closed")
    return bytes(parts)
