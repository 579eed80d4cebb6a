"""config/variant_attributes.yaml: variants, attributes, and what each attribute is for each variant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from vivavoce.project import layout
from vivavoce.project.editing import attribute_suffix, variant_suffix
from vivavoce.project.projection.parts import Folder, Json, Part, as_text, collection, entities, mapping

KINDS = ("string", "number", "boolean", "enum", "object")


def read(folder: Folder) -> Json:
    ids = variant_ids(folder)
    variants = {
        id: {"id": id, "name": name, "isDefault": item.get("is_default") is True}
        for (name, id), item in zip(ids.items(), _named(folder, "variants").values(), strict=True)
    }
    values: dict[str, Json] = {id: {"id": id, "values": {}} for id in variants}
    attributes = {}
    for name, item in _named(folder, "attributes").items():
        id = folder.id("ATTRIBUTES", layout.VARIANTS + attribute_suffix(name))
        kind = as_text(item.get("kind")).lower() or "string"
        type: Json = {"kind": KINDS.index(kind) if kind in KINDS else 0}
        if kind == "enum":
            type["config"] = {
                "$case": "enumConfig",
                "value": {"values": mapping(item.get("config")).get("values") or []},
            }
        attributes[id] = {"id": id, "name": name, "archived": False, "type": type}
        for variant, value in mapping(item.get("values")).items():
            held = values.get(ids.get(variant, ""))
            if held is None:
                continue
            held["values"][id] = _said(value)
            if type["kind"]:
                held.setdefault("typedValues", {})[id] = value
    return {
        "variantManagement": {
            "variants": collection(variants),
            "attributes": collection(attributes),
            "variantAttributeValues": collection(values),
        }
    }


def variant_ids(folder: Folder) -> dict[str, str]:
    """name -> id."""
    return {name: folder.id("VARIANTS", layout.VARIANTS + variant_suffix(name)) for name in _named(folder, "variants")}


def _named(folder: Folder, key: str) -> dict[str, Json]:
    return {as_text(item.get("name")): item for item in folder.items(layout.VARIANTS, key)}


def _said(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (dict, list)) else as_text(value)


def write(projection: Json) -> Iterator[Part]:
    variants = entities(projection, "variantManagement", "variants")
    attributes = {
        id: each
        for id, each in entities(projection, "variantManagement", "attributes").items()
        if not each.get("archived")
    }
    values = entities(projection, "variantManagement", "variantAttributeValues")
    if not variants and not attributes:
        return
    content: Json = {
        "variants": [
            {"name": each["name"], **({"is_default": True} if each.get("isDefault") else {})}
            for each in variants.values()
        ]
    }
    if attributes:
        content["attributes"] = [
            {
                "name": each["name"],
                **_written_type(each.get("type") or {}),
                "values": {
                    variants[variant]["name"]: _value(held, id, each.get("type") or {})
                    for variant, held in values.items()
                    if variant in variants and id in {**held.get("values", {}), **held.get("typedValues", {})}
                },
            }
            for id, each in attributes.items()
        ]
    yield Part(
        path=layout.VARIANTS,
        content=content,
        ids={
            **{variant_suffix(each["name"]): id for id, each in variants.items()},
            **{attribute_suffix(each["name"]): id for id, each in attributes.items()},
        },
    )


def _written_type(type: Json) -> Json:
    kind = type.get("kind") or 0
    found: Json = {"kind": KINDS[kind]} if kind else {}
    config = mapping(mapping(type.get("config")).get("value"))
    return {**found, "config": {"values": config.get("values") or []}} if kind == KINDS.index("enum") else found


def _value(held: Json, id: str, type: Json) -> Any:
    typed = held.get("typedValues", {})
    if type.get("kind") and id in typed:
        return typed[id]
    return held["values"].get(id, "")
