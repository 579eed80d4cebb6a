"""The signature of an export: that nothing was changed, dropped or added since it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import convert

from vivavoce.domain.record import ExportSignature
from vivavoce.errors import NOT_JSON, UsageError

CHUNK_BYTES = 1 << 20
WHOLE_FILE_BYTES = 64 << 20  # that are read at once, to see whether they are one vCon


def check(file: Path, *, is_strict: bool = True, hint: str = "") -> tuple[int, str]:
    """(how many records the file has, the public key of its last line). Raises UsageError, when strict, for a signature that
    is missing or does not fit.

    It says that the file is whole, not who made it: compare the public key with the one you expect.
    """
    digest, count, last, key = hashlib.sha256(), 0, b"", ""
    with file.open("rb") as lines:
        for line in lines:
            if last:
                digest.update(last)
                count += 1
            last = line
    try:
        signature = _decoded(last)["signature"]
        key = signature["public_key"]
        _verify(signature, digest.digest())
        problem = None if signature["conversations"] == count else "its number of conversations is another"
    except InvalidSignature:
        problem = "it was changed since it was signed"
    except (ValueError, KeyError, TypeError, msgspec.MsgspecError):
        problem = f"its last line holds no signature, and there is no {file.name}.signature.json beside it"
        count += bool(last)
    if problem is not None and is_strict:
        raise UsageError(f"{file} is not proven whole: {problem}.{hint}")
    return count, key


def check_beside(file: Path, signature: Path) -> tuple[int, str]:
    """The same of a file whose signature lies beside it."""
    digest = hashlib.sha256()
    with file.open("rb") as body:
        while chunk := body.read(CHUNK_BYTES):
            digest.update(chunk)
    try:
        found = _decoded(signature.read_bytes())
        _verify({**found, "public_key": found["publicKey"]}, digest.digest())
        return int(found["conversations"]), str(found["publicKey"])
    except InvalidSignature:
        raise UsageError(f"{file} was changed since it was signed.") from None
    except (ValueError, KeyError, TypeError, OSError, msgspec.MsgspecError):
        raise UsageError(f"{signature} holds no signature of an export.") from None


def _verify(signature: dict[str, Any], digest: bytes) -> None:
    """Raises InvalidSignature; KeyError or ValueError where something is missing."""
    text = digest  # what the first exports signed
    if "id" in signature:
        if signature["sha256"] != digest.hex():
            raise InvalidSignature
        text = convert(signature, ExportSignature).text
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["public_key"]))
    public.verify(bytes.fromhex(signature["ed25519"]), text)


def is_ours(file: Path) -> bool:
    """True where any line is of an export of ours, which is signed as a whole; False for vCons, each of which carries its own
    signature or none."""
    is_empty = True
    for body in bodies(file):
        is_empty = False
        if "vivavoce" in body or is_signature(body):
            return True
    return is_empty


def is_signature(body: dict[str, Any]) -> bool:
    """The last line of an export, and nothing else."""
    return body.keys() == {"signature"} and isinstance(body["signature"], dict)


def bodies(file: Path) -> Iterator[dict[str, Any]]:
    """What is to be taken in: a line each, or the one vCon that the file is, or those of a list."""
    neither = f"{file} is neither lines of JSON objects nor one vCon."
    try:
        with file.open("rb") as lines:
            first = lines.readline(WHOLE_FILE_BYTES)
            body = _decoded(first)
            if isinstance(body, dict):
                yield body
                for line in lines:
                    if line.strip():
                        yield _object(_decoded(line), neither)
                return
    except ValueError as error:
        if file.stat().st_size > WHOLE_FILE_BYTES:
            raise UsageError(neither) from error
    try:
        body = _decoded(file.read_bytes())
    except ValueError as error:
        raise UsageError(neither) from error
    for item in body if isinstance(body, list) else [body]:
        yield _object(item, neither)


def _decoded(line: bytes) -> Any:
    """Raises ValueError for whatever is wrong with it."""
    try:
        return msgspec.json.decode(line)
    except NOT_JSON as error:
        raise ValueError("no JSON") from error


def _object(body: Any, neither: str) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise UsageError(neither)
    return body
