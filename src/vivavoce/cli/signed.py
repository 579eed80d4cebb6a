"""The signature of an export: that nothing was changed, dropped or added since it was made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from vivavoce.errors import UsageError


def check(file: Path, *, is_strict: bool) -> int:
    """How many records the file has. Raises UsageError, when strict, for a signature that is missing or does not fit.

    It says that the file is whole, not who made it: compare the public key in its last line with the one you expect.
    """
    digest, count, last = hashlib.sha256(), 0, b""
    with file.open("rb") as lines:
        for line in lines:
            if last:
                digest.update(last)
                count += 1
            last = line
    try:
        signature = json.loads(last)["signature"]
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["public_key"]))
        public.verify(bytes.fromhex(signature["ed25519"]), digest.digest())
        problem = None if signature["conversations"] == count else "its number of conversations is another"
    except InvalidSignature:
        problem = "it was changed since it was signed"
    except (ValueError, KeyError, TypeError):
        problem = "its last line holds no signature: it is not whole, or none of ours"
        count += bool(last)
    if problem is not None and is_strict:
        raise UsageError(f"{file} is not taken: {problem}. --unsigned takes it as it is.")
    return count
