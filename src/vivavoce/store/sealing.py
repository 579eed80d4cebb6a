"""What holds a conversation's values is encrypted under a key of its own; names and words are found by keyed hashes.

Destroying a conversation's key destroys all that was sealed under it, wherever copies of it lie.
"""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from vivavoce.store.interface import StoreError

KEY_BYTES = 32
NONCE_BYTES = 12
NAME_BYTES = 16


class Seal:
    """One key. `place` names where a sealed value lies, so that it cannot be moved to another place unseen."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def close(self, value: bytes, place: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except (InvalidTag, ValueError) as error:
            raise StoreError("A sealed row cannot be opened: it is damaged, or was moved. Restore a copy.") from error


class Keyring:
    """Makes and opens the conversations' own keys, which the store keeps wrapped under `master`."""

    def __init__(self, master: bytes) -> None:
        if len(master) != KEY_BYTES:
            raise StoreError(f"The sealing key should have {KEY_BYTES} bytes, not {len(master)}.")
        self._wrapping = Seal(_derived(master, b"wrapping"))
        self._naming = _derived(master, b"naming")
        self._linking = _derived(master, b"linking")
        self._signing = Ed25519PrivateKey.from_private_bytes(_derived(master, b"signing"))

    def make(self) -> tuple[bytes, Seal]:
        """(the wrapped key, to be kept; its seal)."""
        key = AESGCM.generate_key(KEY_BYTES * 8)
        return self._wrapping.close(key, b"key"), Seal(key)

    def unwrap(self, wrapped: bytes) -> Seal:
        return Seal(self._wrapping.open(wrapped, b"key"))

    def name(self, *parts: str) -> bytes:
        """The same parts always have the same name; without the master key nobody can tell which they were."""
        return self._hash("\0".join(parts), NAME_BYTES)

    def facet(self, scope: int, name: str, value: str) -> int:
        return int.from_bytes(self._hash(f"facet\0{scope}\0{name}\0{value}", 8), "big", signed=True)

    def word(self, scope: int, word: str) -> str:
        """A word of a search index; each agent has its own."""
        return self._hash(f"word\0{scope}\0{word}", 6).hex()

    def link(self, before: bytes, entry: bytes) -> bytes:
        """The hash of an audit entry that follows the one with hash `before`."""
        return hashlib.blake2b(before + entry, digest_size=32, key=self._linking).digest()

    def proof(self, purpose: bytes, body: bytes) -> bytes:
        """That whoever wrote it had the master key."""
        return hashlib.blake2b(purpose + b"\0" + body, digest_size=32, key=self._linking).digest()

    def sign(self, text: bytes) -> bytes:
        return self._signing.sign(text)

    @property
    def public_key(self) -> bytes:
        """Whoever has it can check signatures, and no more."""
        return self._signing.public_key().public_bytes_raw()

    @cached_property
    def certificate(self) -> bytes:
        """The same key as an X.509 certificate that it has signed itself (DER), always the same bytes."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vivavoce")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._signing.public_key())
            .serial_number(int.from_bytes(hashlib.sha256(self.public_key).digest()[:8], "big") | 1)
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
        )
        return builder.sign(self._signing, None).public_bytes(Encoding.DER)

    def _hash(self, text: str, size: int) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size, key=self._naming).digest()


def _derived(master: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(purpose, digest_size=KEY_BYTES, key=master, person=b"vivavoce-seal").digest()
