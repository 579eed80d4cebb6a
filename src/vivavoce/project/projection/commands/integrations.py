"""Integrations with other systems: their environments and operations; servers of tools."""

from __future__ import annotations

from vivavoce.project.projection.commands.held import (
    Change,
    Payload,
    Refusal,
    add,
    at,
    collection_at,
    deletes,
    needed,
    updates,
)
from vivavoce.project.projection.parts import Json

_INTEGRATIONS = ("apiIntegrations", "apiIntegrations")
_STAGES = {"sandbox": "sandbox", "pre-release": "preRelease", "live": "live"}


def _integration_create(projection: Json, payload: Payload) -> None:
    add(collection_at(projection, *_INTEGRATIONS), payload["id"], {**payload, "operations": {}}, "integration")


def _integration_config(projection: Json, payload: Payload) -> None:
    found = at(collection_at(projection, *_INTEGRATIONS), payload["id"], "integration")
    stage = _STAGES.get(payload["environment"])
    if stage is None:
        raise Refusal(f"there is no environment {payload['environment'][:40]!r}")
    config = found.setdefault("environments", {}).setdefault(stage, {})
    config.update({key: payload[key] for key in ("baseUrl", "authType") if key in payload})


def _operations(projection: Json, payload: Payload) -> Json:
    found = at(collection_at(projection, *_INTEGRATIONS), payload.get("integrationId", ""), "integration")
    operations: Json = found.setdefault("operations", {})
    return operations


def _operation_create(projection: Json, payload: Payload) -> None:
    operations = _operations(projection, payload)
    if not payload["id"] or payload["id"] in operations:
        raise Refusal(f"there is an operation {payload['id'][:64]!r} already")
    operations[payload["id"]] = {key: payload[key] for key in ("id", "name", "method", "resource")}


def _operation_update(projection: Json, payload: Payload) -> None:
    operations = _operations(projection, payload)
    if payload["id"] not in operations:
        raise Refusal(f"there is no operation {payload['id'][:64]!r}")
    operations[payload["id"]].update({key: payload[key] for key in ("name", "method", "resource") if key in payload})


def _operation_delete(projection: Json, payload: Payload) -> None:
    if _operations(projection, payload).pop(payload["id"], None) is None:
        raise Refusal(f"there is no operation {payload['id'][:64]!r}")


def _mcp_upsert(projection: Json, payload: Payload) -> None:
    said = needed(payload, "server")
    held = collection_at(projection, "mcpConfig", "servers")
    entity: Json = {key: said[key] for key in ("providerId", "url", "auth", "timeout") if key in said}
    if "enabledFunctions" in said:
        entity["enabledFunctions"] = said["enabledFunctions"]["names"]
    if said["id"] in held["entities"]:
        held["entities"][said["id"]] = {"id": said["id"], **entity}
    else:
        add(held, said["id"], entity, "server")


CHANGES: dict[str, Change] = {
    "create_api_integration": _integration_create,
    "update_api_integration": updates("integration", *_INTEGRATIONS),
    "delete_api_integration": deletes("integration", *_INTEGRATIONS),
    "update_api_integration_config": _integration_config,
    "create_api_integration_operation": _operation_create,
    "update_api_integration_operation": _operation_update,
    "delete_api_integration_operation": _operation_delete,
    "upsert_mcp_server": _mcp_upsert,
    "delete_mcp_server": deletes("server", "mcpConfig", "servers"),
}  # fmt: skip
