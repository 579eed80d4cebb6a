"""Real-time configuration, memory and the state of a handoff, as the public APIs write them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from vivavoce.wire.times import iso


class UpdateConfigSchemaBody(Struct, frozen=True, kw_only=True, rename="camel"):
    schema: dict[str, Any]


class UpdateConfigVariablesBody(Struct, frozen=True, kw_only=True, rename="camel"):
    variables: dict[str, Any]


class GetConfigPageResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    client_env: str
    schema: dict[str, Any] | None
    variables: dict[str, Any] | None
    last_updated: str | None


class GetConfigPagesResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    config_pages: list[GetConfigPageResponse]


class HandoffState(Struct, frozen=True, kw_only=True):
    id: str
    shared_id: str | UnsetType = UNSET  # absent when the agent shares none
    data: dict[str, Any]


class MemoryResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    fields: dict[str, Any]
    first_conversation: dict[str, Any]
    updated_at: str


def config_page(
    environment: str, schema: dict[str, Any] | None, variables: dict[str, Any] | None, changed_at: datetime | None
) -> GetConfigPageResponse:
    return GetConfigPageResponse(
        client_env=environment, schema=schema, variables=variables, last_updated=iso(changed_at)
    )


def memory(body: dict[str, Any], at: datetime) -> MemoryResponse:
    return MemoryResponse(
        fields=body.get("values", {}), first_conversation=body.get("first", {}), updated_at=iso(at) or ""
    )


class EventReceivedResponse(Struct, frozen=True, kw_only=True):
    received: bool = True
    event_id: str
