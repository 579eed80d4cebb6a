"""Functions: global ones, and those that begin and end a conversation."""

from __future__ import annotations

from collections.abc import Sequence

from vivavoce.project.projection.commands.held import (
    Change,
    Payload,
    Refusal,
    at,
    collection_at,
    creates,
    deletes,
    merge,
    updates,
)
from vivavoce.project.projection.parts import Json, collection

MOST_CODE = 256 << 10  # characters


def parameters_of(said: Sequence[Payload]) -> Json:
    return _by_id(said, "parameters")


def _by_id(said: Sequence[Payload], what: str) -> Json:
    found = {each["id"]: dict(each) for each in said}
    if len(found) < len(said):
        raise Refusal(f"two of its {what} have one id")
    return collection(found)


def name_of(payload: Payload) -> str:
    """A folder may hold files that are called otherwise, and none of them is made by a push."""
    name = str(payload["name"])
    if not name.isidentifier() or name.startswith("__"):
        raise Refusal(f"a function cannot be called {name[:64]!r}: use letters, digits and underscores, a letter first")
    return name


def code_of(payload: Payload) -> str:
    """With plain line ends, as it is read from a file."""
    code = str(payload["code"])
    if len(code) > MOST_CODE:
        raise Refusal(f"the code has {len(code):,} characters; it may have {MOST_CODE:,}")
    return code.replace("\r\n", "\n").replace("\r", "\n")


def delay_of(said: Payload) -> Json:
    found = {key: value for key, value in said.items() if key not in ("functionId", "delayResponses")}
    messages = said.get("delayResponses")
    if isinstance(messages, dict):  # an update wraps them, so that none can be told from nothing said
        messages = messages["delayResponses"]
    if messages is not None:
        found["delayResponses"] = _by_id(messages, "messages")
    return found


def function_of(payload: Payload) -> Json:
    """As it is created: everything is there, if only by default."""
    return {
        "name": name_of(payload),
        "description": payload.get("description", ""),
        "parameters": parameters_of(payload.get("parameters") or []),
        "code": code_of(payload),
        "errors": [],
        "latencyControl": delay_of(payload.get("latencyControl") or {}),
        "archived": bool(payload.get("archived")),
    }


def function_changes(payload: Payload) -> Json:
    found: Json = {key: payload[key] for key in ("description", "archived") if key in payload}
    if "name" in payload:
        found["name"] = name_of(payload)
    if "code" in payload:
        found["code"] = code_of(payload)
    if "parameters" in payload:
        found["parameters"] = parameters_of(payload["parameters"]["parameters"])
    return found


_FUNCTIONS = ("functions", "functions")


def _latency(projection: Json, payload: Payload) -> None:
    id = payload["functionId"]
    special = next((each for each in projection["specialFunctions"].values() if each["id"] == id), None)
    function = special or at(collection_at(projection, *_FUNCTIONS), id, "function")
    function.setdefault("latencyControl", {}).update(delay_of(payload))


def _special_create(which: str, name: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        held = projection["specialFunctions"]
        if which in held and not held[which].get("archived"):
            raise Refusal(f"there is a {name} already")
        held[which] = {"id": payload["id"], **function_of({**payload, "name": name})}

    return change


def _special_update(which: str, name: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        merge(_special(projection, which, name, payload), function_changes(payload))

    return change


def _special_delete(which: str, name: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        _special(projection, which, name, payload)
        del projection["specialFunctions"][which]

    return change


def _special(projection: Json, which: str, name: str, payload: Payload) -> Json:
    found: Json | None = projection["specialFunctions"].get(which)
    if found is None or found["id"] != payload["id"]:
        raise Refusal(f"there is no {name} {payload['id'][:64]!r}")
    return found


CHANGES: dict[str, Change] = {
    "create_function": creates("function", *_FUNCTIONS, shaped=function_of),
    "update_function": updates("function", *_FUNCTIONS, shaped=function_changes),
    "delete_function": deletes("function", *_FUNCTIONS),
    "update_latency_control": _latency,
    "create_start_function": _special_create("startFunction", "start_function"),
    "update_start_function": _special_update("startFunction", "start_function"),
    "delete_start_function": _special_delete("startFunction", "start_function"),
    "create_end_function": _special_create("endFunction", "end_function"),
    "update_end_function": _special_update("endFunction", "end_function"),
    "delete_end_function": _special_delete("endFunction", "end_function"),
}  # fmt: skip
