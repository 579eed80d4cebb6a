"""What a projection holds, found and changed by id; and why a command cannot be applied.

Of a collection only `entities` is changed: its `ids` are those of the last rendering, until it is rendered again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from vivavoce.project.projection.parts import Json, collection

Payload: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Json, Payload], None]


class Refusal(Exception):
    """Why a command cannot be applied."""


def collection_at(projection: Json, *path: str) -> Json:
    found = projection
    for key in path:
        found = found.setdefault(key, {})
    if "entities" not in found:
        found.update(collection({}))
    return found


def at(held: Json, id: str, what: str) -> Json:
    found: Json | None = held["entities"].get(id)
    if found is None:
        raise Refusal(f"there is no {what} {id[:64]!r}")
    return found


def add(held: Json, id: str, entity: Json, what: str) -> None:
    if not id:
        raise Refusal(f"the {what} has no id")
    if id in held["entities"]:
        raise Refusal(f"there is a {what} {id[:64]!r} already")
    held["entities"][id] = {"id": id, **entity}


def remove(held: Json, id: str, what: str) -> Json:
    found = at(held, id, what)
    del held["entities"][id]
    return found


def merge(entity: Json, changes: Json) -> None:
    entity.update({key: value for key, value in changes.items() if key != "id"})


def creates(what: str, *path: str, shaped: Callable[[Payload], Json] = dict) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        add(collection_at(projection, *path), payload["id"], shaped(payload), what)

    return change


def updates(what: str, *path: str, shaped: Callable[[Payload], Json] = dict) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        merge(at(collection_at(projection, *path), payload.get("id", ""), what), shaped(payload))

    return change


def deletes(what: str, *path: str, id: str = "id") -> Change:
    def change(projection: Json, payload: Payload) -> None:
        remove(collection_at(projection, *path), payload[id], what)

    return change


def crud(
    what: str, names: tuple[str, str, str], *path: str, shaped: Callable[[Payload], Json] = dict
) -> dict[str, Change]:
    create, update, delete = names
    return {
        create: creates(what, *path, shaped=shaped),
        update: updates(what, *path, shaped=shaped),
        delete: deletes(what, *path),
    }


def makes_default(what: str, *path: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        held = collection_at(projection, *path)
        at(held, payload["id"], what)
        for id, each in held["entities"].items():
            each["isDefault"] = id == payload["id"]

    return change


def case_of(payload: Payload, *kinds: str) -> Json:
    for kind in kinds:
        if kind in payload:
            return {"$case": kind, "value": payload[kind]}
    raise Refusal(f"it should have one of {', '.join(kinds)}")


def needed(payload: Payload, key: str) -> Json:
    found = payload.get(key)
    if not isinstance(found, dict):
        raise Refusal(f"it has no {key}")
    return found


def in_order(value: Any) -> Any:
    """The wire keeps no order of what authors may nest as they like."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(item) for item in value] if isinstance(value, list) else value
