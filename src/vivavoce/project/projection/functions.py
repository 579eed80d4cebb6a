"""functions/: global functions, and those that begin and end a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from vivavoce.domain.ids import clean_name
from vivavoce.project import layout
from vivavoce.project.functions import variables
from vivavoce.project.projection import code
from vivavoce.project.projection.code import Code, Delay, Parameter
from vivavoce.project.projection.parts import Folder, Json, Part, collection, entities

SPECIAL = {"start_function": "startFunction", "end_function": "endFunction"}


def read(folder: Folder) -> Json:
    words = flow_words(folder)
    found: dict[str, Json] = {}
    special: Json = {}
    variables: dict[str, str] = {}
    for path in sorted(folder.files):
        if not any(kind.fullmatch(path) for kind in (layout.FUNCTION, layout.FLOW_FUNCTION, layout.FUNCTION_STEP)):
            continue
        source = folder.text(path)
        for name in names_of_variables(source):
            variables.setdefault(name, folder.id("VARIABLES", f"variables/{name}"))
        name = PurePosixPath(path).stem
        if not layout.FUNCTION.fullmatch(path) or name == "__init__":
            continue
        entity = entity_of(folder, path, code.opened(source, name, words))
        if name in SPECIAL:
            special[SPECIAL[name]] = entity
        else:
            found[entity["id"]] = entity
    return {
        "functions": {"functions": collection(found)},
        "specialFunctions": special,
        "variables": {
            "variables": collection({id: {"id": id, "name": name} for name, id in sorted(variables.items())})
        },
    }


def write(projection: Json) -> Iterator[Part]:
    words = words_of(projection)
    for entity in [*entities(projection, "functions", "functions").values(), *projection["specialFunctions"].values()]:
        if not entity.get("archived"):
            yield part_of("functions", entity, words)


def variable_ids(projection: Json) -> dict[str, str]:
    """place -> id: variables have no file of their own."""
    return {f"variables/{each['name']}": each["id"] for each in entities(projection, "variables", "variables").values()}


# A function as the client sees it, also one of a flow.


def entity_of(folder: Folder, path: str, found: Code) -> Json:
    parameters = {}
    for each in found.parameters:
        id = folder.id("PARAMETER", f"{path}#parameter/{each.name}")
        parameters[id] = {"id": id, "name": each.name, "description": each.description, "type": each.type}
    return {
        "id": folder.id("FUNCTIONS", path),
        "name": PurePosixPath(path).stem,
        "description": found.description,
        "parameters": collection(parameters),
        "code": found.text,
        "errors": [],
        "latencyControl": delay_of(folder, path, found.delay),
        "archived": False,
    }


def delay_of(folder: Folder, path: str, delay: Delay | None) -> Json:
    messages = {}
    for place, (text, seconds) in enumerate(delay.messages if delay is not None else ()):
        id = folder.id("DELAY", f"{path}#delay/{place}")
        messages[id] = {"id": id, "message": text, "duration": seconds}
    delay = delay or Delay()
    return {
        "enabled": bool(messages) or delay != Delay(),
        "initialDelay": delay.start_after,
        "interval": delay.silence_between,
        "delayResponses": collection(messages),
        "randomize": delay.is_random,
    }


def part_of(home: str, entity: Json, words: dict[str, str], *, is_step: bool = False) -> Part:
    name = entity["name"]
    path = f"{home}/{name}.py"
    parameters = entities(entity, "parameters")
    delay = entity.get("latencyControl") or {}
    messages = entities(delay, "delayResponses")
    found = Code(
        text=entity["code"],
        description=entity.get("description") or "",
        parameters=tuple(
            Parameter(name=each["name"], type=each["type"], description=each["description"])
            for each in parameters.values()
        ),
        delay=Delay(
            start_after=delay.get("initialDelay", 0),
            silence_between=delay.get("interval", 0),
            messages=tuple((each["message"], each["duration"]) for each in messages.values()),
            is_random=bool(delay.get("randomize")),
        )
        if delay.get("enabled")
        else None,
    )
    close = partial(code.closed, found, name, words, is_step=is_step)
    return Part(
        path=path,
        content=close(),
        over=lambda source: close(over=source),
        ids={
            "": entity["id"],
            **{f"#parameter/{each['name']}": id for id, each in parameters.items()},
            **{f"#delay/{place}": id for place, id in enumerate(messages)},
        },
    )


def names_of_variables(source: str) -> list[str]:
    return sorted(variables(source.encode()))


# Code names the functions of a flow by its folder; the client sends the flow's id in its place.


def flow_words(folder: Folder) -> dict[str, str]:
    return {
        found[1]: clean_name(folder.id("FLOW_CONFIG", path))
        for path in folder.files
        if (found := layout.FLOW.fullmatch(path))
    }


def words_of(projection: Json) -> dict[str, str]:
    return {clean_name(flow["name"]): clean_name(id) for id, flow in entities(projection, "flows", "flows").items()}
