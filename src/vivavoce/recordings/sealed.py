"""A file sealed in pieces, so that any part of it can be read and none of it changed unseen: AES-256-GCM, a key for each file."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vivavoce.recordings.interface import Name, Recordings, RecordingsError

PIECE = 1 << 16  # bytes of the file that are sealed together
TAG = 16
KEY_BYTES = 32


def seal_file(source: Path, target: Path, key: bytes) -> None:
    """Piece by piece: a recording may be larger than memory. The target is readable by its owner only."""
    cipher = AESGCM(key)
    target.touch(mode=0o600)
    with source.open("rb") as plain, target.open("wb") as sealed:
        number = 0
        while piece := plain.read(PIECE):
            sealed.write(cipher.encrypt(_nonce(number), piece, None))
            number += 1


async def read_sealed(recordings: Recordings, name: Name, key: bytes, start: int, length: int) -> bytes:
    """Bytes of the file as it was, all of which have to be there. Raises RecordingsError where it is not what was stored."""
    if length <= 0:
        return b""
    first, last = start // PIECE, (start + length - 1) // PIECE
    whole = await recordings.read(name, first * (PIECE + TAG), (last - first + 1) * (PIECE + TAG))
    cipher = AESGCM(key)
    opened = bytearray()
    try:
        for number, at in enumerate(range(0, len(whole), PIECE + TAG), first):
            opened += cipher.decrypt(_nonce(number), whole[at : at + PIECE + TAG], None)
    except InvalidTag:
        raise RecordingsError("The recording is not what was stored: somebody has changed it.") from None
    skip = start - first * PIECE
    found = bytes(opened[skip : skip + length])
    if len(found) < length:
        raise RecordingsError("The recording is not what was stored: its end is missing.")
    return found


def _nonce(number: int) -> bytes:
    """A key seals one file once, so that the number of a piece is enough."""
    return number.to_bytes(12, "big")
