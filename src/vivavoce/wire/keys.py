"""API keys: what may be told of one. Its text is there once, when it is made."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from vivavoce.domain.principal import Key
from vivavoce.wire.times import iso


class CreateKeyBody(Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    account_id: str | None = None
    agents: list[str] | None = None
    permissions: list[Literal["chat", "read", "write", "pii", "admin"]] | None = None
    expires_at: str | None = None


def key_summary(key: Key, last_used_at: datetime | None = None) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "accountId": key.account_id,
        "agents": sorted(key.agents) if key.agents is not None else None,
        "permissions": sorted(key.permissions),
        "createdAt": iso(key.created_at),
        "expiresAt": iso(key.expires_at),
        "lastUsedAt": iso(last_used_at),
        "revokedAt": iso(key.revoked_at),
    }
