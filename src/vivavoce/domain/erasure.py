"""What an erasure leaves behind: a receipt that says what was removed, without saying of whom."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

ErasureKind: TypeAlias = Literal["conversation", "caller", "retention"]


class Receipt(Struct, frozen=True, kw_only=True):
    """`subject` is a keyed hash of what was asked to be erased. `signature` is Ed25519 over all the other fields."""

    id: str
    at: datetime
    kind: ErasureKind
    account_id: str
    agent_id: str
    subject: str
    conversations: int
    removed: dict[str, int]  # kind of row -> how many
    is_log_cut: bool  # the write-ahead log, in which copies could have lain, is empty
    signature: str = ""


class Retention(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Days for which each kind of data is kept; None is for ever.

    `details` are how turns came to be: model requests, function calls, state. The transcript stays.
    """

    conversations: int | None = None
    details: int | None = None
    memory: int | None = None


class Signer(Protocol):
    """Names by keyed hash, and signs; the key stays where it is."""

    def name(self, *parts: str) -> bytes:
        """The same parts always have the same name; without the key nobody can tell which they were."""
        ...

    def sign(self, text: bytes) -> bytes:
        """Ed25519."""
        ...

    @property
    def public_key(self) -> bytes: ...

    @property
    def certificate(self) -> bytes:
        """The public key as an X.509 certificate (DER) that it has signed itself."""
        ...
