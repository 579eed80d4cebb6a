"""API keys: what may be told of one. Its text is there once, when it is made."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from vivavoce.domain.principal import Key
from vivavoce.wire.times import Moment, iso


class CreateKeyBody(Struct, frozen=True, kw_only=True, rename="camel"):
    name: Annotated[str, Meta(extra_json_schema={"minLength": 1, "pattern": "\\S"})]
    account_id: str | None = None
    agents: list[str] | None = None
    permissions: list[Literal["chat", "read", "write", "pii", "admin"]] | None = None
    expires_at: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] | None = None


class KeyResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    name: str
    hint: str  # the last characters of its text
    account_id: str | None
    agents: list[str] | None
    permissions: list[str]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    revoked_at: Moment | None


class CreatedKeyResponse(KeyResponse, frozen=True, kw_only=True, rename="camel"):
    """`key` is its text, which is told this once."""

    key: str


class KeysResponse(Struct, frozen=True, kw_only=True):
    keys: list[KeyResponse]


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
