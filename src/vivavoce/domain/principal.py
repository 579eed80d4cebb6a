"""Who is asking, and what they may do."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

Permission: TypeAlias = Literal["chat", "read", "write", "pii", "admin"]
EVERY_PERMISSION: frozenset[Permission] = frozenset(("chat", "read", "write", "pii", "admin"))


class Principal(Struct, frozen=True, kw_only=True):
    """The holder of a key. `account_id` None is the operator, across all accounts; `agents` None is every agent."""

    key_id: str
    name: str = "operator"
    account_id: str | None = None
    permissions: frozenset[Permission] = EVERY_PERMISSION
    agents: frozenset[str] | None = None
    expires_at: datetime | None = None


class Key(Struct, frozen=True, kw_only=True):
    """An API key as it is stored: never its text, only a hash of it."""

    id: str
    name: str
    digest: str  # SHA-256 of the key's text, hexadecimal
    hint: str  # its last four characters
    account_id: str | None = None
    permissions: frozenset[Permission] = EVERY_PERMISSION
    agents: frozenset[str] | None = None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
