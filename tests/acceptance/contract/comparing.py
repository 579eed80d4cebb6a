"""Two OpenAPI documents side by side: what the public contract says, and where ours says something else."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
Document = dict[str, Any]


def differences(contract: Document, served: Document) -> Iterator[str]:
    """One line for each, as `METHOD path: place: what`. Ours may have more: paths, parameters, fields, statuses."""
    ours = {_bare(path): operations for path, operations in served["paths"].items()}
    for path, operations in contract["paths"].items():
        for method in METHODS:
            if method not in operations:
                continue
            name = f"{method.upper()} {_bare(path)}"
            mine = ours.get(_bare(path), {}).get(method)
            if mine is None:
                yield f"{name}: missing"
                continue
            shared = operations.get("parameters", [])
            theirs = {**operations[method], "parameters": [*shared, *operations[method].get("parameters", [])]}
            yield from (f"{name}: {line}" for line in _operation(theirs, mine, contract, served))


def _bare(path: str) -> str:
    """A path without the names of its parameters, which are no part of what is sent."""
    return re.sub(r"{\w+}", "{}", path)


def _operation(theirs: Document, mine: Document, contract: Document, served: Document) -> Iterator[str]:
    have = {(p["name"], p["in"]): p for p in mine.get("parameters", [])}
    for parameter in theirs["parameters"]:
        if parameter["in"] == "path":
            continue
        found = have.get((parameter["name"], parameter["in"]))
        place = f"parameter {parameter['name']}"
        if found is None:
            yield f"{place}: missing"
            continue
        if found.get("required", False) != parameter.get("required", False):
            yield f"{place}: required is {found.get('required', False)}"
        yield from _schema(parameter["schema"], found["schema"], contract, served, place, is_input=True)
    wanted, given = _body(theirs.get("requestBody")), _body(mine.get("requestBody"))
    if wanted is not None:
        if given is None:
            yield "request: missing"
        else:
            yield from _schema(wanted, given, contract, served, "request", is_input=True)
    for status in mine["responses"].keys() - theirs["responses"].keys() - {"500"}:  # anything may break
        yield f"status {status}: also answered"
    for status, response in theirs["responses"].items():
        found = mine["responses"].get(status)
        if found is None:
            yield f"status {status}: missing"
            continue
        wanted, given = _body(_resolved(response, contract)), _body(_resolved(found, served))
        if wanted is not None and status.startswith("2"):
            if given is None:
                yield f"status {status}: has no body"
            else:
                yield from _schema(wanted, given, contract, served, f"status {status}", is_input=False)


def _body(thing: Document | None) -> Document | None:
    content = (thing or {}).get("content", {})
    found: Document | None = next((media.get("schema") for media in content.values()), None)
    return found


def _resolved(schema: Document, document: Document) -> Document:
    while "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    options = schema.get("anyOf", [])
    inner = [one for one in options if one.get("type") != "null"]
    if len(options) == 2 and len(inner) == 1 and "$ref" in inner[0]:  # of one shape, or null
        found = _resolved(inner[0], document)
        return {**found, "type": [found.get("type", "object"), "null"]}
    return schema


def _types(schema: Document, document: Document) -> set[str]:
    found = schema.get("type", [])
    types = {found} if isinstance(found, str) else set(found)
    for one in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        types |= _types(_resolved(one, document), document)
    if schema.get("nullable"):
        types.add("null")
    if not types and "enum" in schema:
        types = {"string"}
    return types


def _choices(schema: Document) -> set[Any]:
    return set(schema.get("enum", ())) | {c for one in schema.get("anyOf", ()) for c in one.get("enum", ())}


def _schema(
    theirs: Document, mine: Document, contract: Document, served: Document, place: str, *, is_input: bool
) -> Iterator[str]:
    theirs, mine = _resolved(theirs, contract), _resolved(mine, served)
    wanted, given = _types(theirs, contract), _types(mine, served)
    if wanted and not (wanted <= given if is_input else given <= wanted):
        yield f"{place}: type is {'|'.join(sorted(given)) or 'anything'} instead of {'|'.join(sorted(wanted))}"
    choices, mine_choices = _choices(theirs), _choices(mine)
    if is_input and choices and not choices <= mine_choices and mine_choices:
        yield f"{place}: does not take {sorted(choices - mine_choices)}"
    if is_input and choices and mine_choices - choices:
        yield f"{place}: also takes {sorted(mine_choices - choices)}"
    for bound in ("default", "minimum", "maximum", "minItems"):
        if bound in theirs and theirs[bound] != mine.get(bound):
            yield f"{place}: {bound} is {mine.get(bound)} instead of {theirs[bound]}"
    required, mine_required = set(theirs.get("required", ())), set(mine.get("required", ()))
    if is_input and mine_required - required:
        yield f"{place}: wants {sorted(mine_required - required)}"
    if not is_input and required - mine_required:
        yield f"{place}: {sorted(required - mine_required)} may be missing"
    for name, schema in theirs.get("properties", {}).items():
        found = mine.get("properties", {}).get(name)
        if found is None:
            yield f"{place}.{name}: missing"
        else:
            yield from _schema(schema, found, contract, served, f"{place}.{name}", is_input=is_input)
    if "items" in theirs and theirs["items"] and "items" in mine:
        yield from _schema(theirs["items"], mine["items"], contract, served, f"{place}[]", is_input=is_input)


_PLACE = re.compile(
    r"(?:status (?P<status>\d+)|parameter (?P<parameter>[\w-]+)|(?P<request>request))(?P<path>[\w.\[\]]*): (?P<what>.*)"
)


def applied(contract: Document, served: Document, deviations: list[str]) -> Document:
    """The contract with ours at every place that deviates; what we do not have is left out."""
    ours = {_bare(path): operations for path, operations in served["paths"].items()}
    found = {**copy.deepcopy(contract), "openapi": "3.1.0"}
    found["paths"] = {path: ops for path, ops in found["paths"].items() if _bare(path) in ours}
    for path, operations in found["paths"].items():
        for method in METHODS:
            if method not in operations:
                continue
            name = f"{method.upper()} {_bare(path)}: "
            mine = _inlined(ours[_bare(path)][method], served)
            operations[method] = theirs = _inlined(operations[method], contract)
            for line in deviations:
                if line.startswith(name):
                    _apply(line.removeprefix(name), theirs, mine)
    return found


def _apply(line: str, theirs: Document, mine: Document) -> None:
    place = _PLACE.fullmatch(line)
    assert place is not None, line
    if place["what"] == "also answered":
        theirs["responses"][place["status"]] = mine["responses"][place["status"]]
        return
    if place["parameter"]:
        one, other = (
            next(p for p in operation["parameters"] if p["name"] == place["parameter"]) for operation in (theirs, mine)
        )
        one["schema"] = other["schema"]
        return
    if place["request"] and not place["path"]:
        theirs["requestBody"] = mine["requestBody"]
        return
    one, other = (
        operation["requestBody"] if place["request"] else operation["responses"][place["status"]]
        for operation in (theirs, mine)
    )
    one, other = (next(iter(side["content"].values())) for side in (one, other))
    last: Any = "schema"
    for step in re.findall(r"\w+|\[\]", place["path"]):
        one, other = one[last], other[last]
        if step != "[]":
            one, other = one["properties"], other["properties"]
        last = "items" if step == "[]" else step
    one[last] = other[last]


def _inlined(thing: Any, document: Document, depth: int = 0) -> Any:
    """Without references, so that a part can stand in another document."""
    if isinstance(thing, dict):
        if "$ref" in thing:
            return _inlined(_resolved(thing, document), document, depth + 1) if depth < 8 else {}
        return {key: _inlined(value, document, depth) for key, value in thing.items()}
    return [_inlined(item, document, depth) for item in thing] if isinstance(thing, list) else thing
