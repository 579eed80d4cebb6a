"""Variants, their attributes, and the values that they have of them."""

from __future__ import annotations

from vivavoce.project.projection.commands.held import (
    Change,
    Payload,
    Refusal,
    add,
    at,
    case_of,
    collection_at,
    in_order,
    makes_default,
    remove,
)
from vivavoce.project.projection.parts import Json, mapping

_VARIANTS = ("variantManagement", "variants")
_ATTRIBUTES = ("variantManagement", "attributes")
_VALUES = ("variantManagement", "variantAttributeValues")


def _variant_create(projection: Json, payload: Payload) -> None:
    add(collection_at(projection, *_VARIANTS), payload["id"], {"name": payload["name"], "isDefault": False}, "variant")
    _values_of(projection, payload["id"], mapping(payload.get("attributeValues")))


def _variant_update(projection: Json, payload: Payload) -> None:
    found = at(collection_at(projection, *_VARIANTS), payload["id"], "variant")
    if "name" in payload:
        found["name"] = payload["name"]
    _values_of(projection, payload["id"], mapping(payload.get("attributeValues")))


def _values_of(projection: Json, variant: str, values: Json) -> None:
    held = collection_at(projection, *_VALUES)
    if variant not in held["entities"]:
        add(held, variant, {"values": {}}, "list of values")
    held["entities"][variant]["values"].update(values.get("values") or {})
    if values.get("typedValues"):
        held["entities"][variant].setdefault("typedValues", {}).update(in_order(values["typedValues"]))


def _variant_delete(projection: Json, payload: Payload) -> None:
    remove(collection_at(projection, *_VARIANTS), payload["id"], "variant")
    held = collection_at(projection, *_VALUES)
    if payload["id"] in held["entities"]:
        remove(held, payload["id"], "list of values")


def _attribute_create(projection: Json, payload: Payload) -> None:
    entity = {"name": payload["name"], "archived": False, "type": _attribute_type(payload)}
    add(collection_at(projection, *_ATTRIBUTES), payload["id"], entity, "attribute")
    _attribute_values(projection, payload)


def _attribute_update(projection: Json, payload: Payload) -> None:
    found = at(collection_at(projection, *_ATTRIBUTES), payload["id"], "attribute")
    if "name" in payload:
        found["name"] = payload["name"]
    if "type" in payload:
        found["type"] = _attribute_type(payload)
    _attribute_values(projection, payload)


def _attribute_type(payload: Payload) -> Json:
    said = mapping(payload.get("type"))
    found: Json = {"kind": said.get("kind", 0)}
    if not 0 <= found["kind"] < 5:
        raise Refusal(f"there is no kind {found['kind']} of attributes")
    return {**found, "config": case_of(said, "enumConfig")} if "enumConfig" in said else found


def _attribute_values(projection: Json, payload: Payload) -> None:
    said = mapping(payload.get("variantValues"))
    known = collection_at(projection, *_VARIANTS)["entities"]
    typed = said.get("typedValues") or {}
    for variant, value in mapping(said.get("values")).items():
        if variant not in known:
            raise Refusal(f"there is no variant {variant[:64]!r}")
        values: Json = {"values": {payload["id"]: value}}
        if variant in typed:
            values["typedValues"] = {payload["id"]: typed[variant]}
        _values_of(projection, variant, values)


def _attribute_delete(projection: Json, payload: Payload) -> None:
    remove(collection_at(projection, *_ATTRIBUTES), payload["id"], "attribute")
    for held in collection_at(projection, *_VALUES)["entities"].values():
        held["values"].pop(payload["id"], None)
        held.get("typedValues", {}).pop(payload["id"], None)


CHANGES: dict[str, Change] = {
    "variant_create_variant": _variant_create,
    "variant_update_variant": _variant_update,
    "variant_delete_variant": _variant_delete,
    "variant_set_default_variant": makes_default("variant", *_VARIANTS),
    "variant_create_attribute": _attribute_create,
    "variant_update_attribute": _attribute_update,
    "variant_delete_attribute": _attribute_delete,
}  # fmt: skip
