"""The signature of an export: that nothing was changed, dropped or added since it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from vivavoce.errors import UsageError

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
        signature = json.loads(last)["signature"]
        key = signature["public_key"]
        _verify(key, signature["ed25519"], digest.digest())
        problem = None if signature["conversations"] == count else "its number of conversations is another"
    except InvalidSignature:
        problem = "it was changed since it was signed"
    except (ValueError, KeyError, TypeError):
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
        found = json.loads(signature.read_text("utf-8"))
        _verify(found["publicKey"], found["ed25519"], digest.digest())
        return int(found["conversations"]), str(found["publicKey"])
    except InvalidSignature:
        raise UsageError(f"{file} was changed since it was signed.") from None
    except (ValueError, KeyError, TypeError, OSError):
        raise UsageError(f"{signature} holds no signature of an export.") from None


def _verify(public_key: str, signature: str, digest: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), digest)


def is_ours(file: Path) -> bool:
    """True for an export of ours, which is signed as a whole; False for vCons, each of which carries its own signature or none."""
    with file.open("rb") as lines:
        first = lines.readline(WHOLE_FILE_BYTES).lstrip()
    return first.startswith((b'{"vivavoce"', b'{"signature"'))


def bodies(file: Path) -> Iterator[bytes]:
    """What is to be taken in: a line each, or the one vCon that the file is, or those of a list."""
    try:
        with file.open("rb") as lines:
            first = lines.readline(WHOLE_FILE_BYTES)
            json.loads(first)
            if not first.lstrip().startswith(b"["):
                yield first
                yield from (line for line in lines if line.strip())
                return
    except ValueError:
        if file.stat().st_size > WHOLE_FILE_BYTES:
            raise UsageError(f"{file} is neither lines of JSON nor one vCon.") from None
    try:
        body = json.loads(file.read_bytes())
    except ValueError:
        raise UsageError(f"{file} is neither lines of JSON nor one vCon.") from None
    for item in body if isinstance(body, list) else [body]:
        yield json.dumps(item).encode()
