"""flows/: their headers, steps of three kinds and functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from msgspec.structs import replace

from vivavoce.domain.ids import clean_name
from vivavoce.project import layout
from vivavoce.project.projection import code, functions
from vivavoce.project.projection.parts import (
    Folder,
    Json,
    Part,
    as_text,
    camel,
    collection,
    entities,
    mapping,
    suffixes,
    texts,
)

EFFORTS = ("unspecified", "minimal", "low", "medium", "high", "auto")
BIASES = (
    "is_enabled", "alphanumeric", "name_spelling", "numeric", "party_size", "precise_date", "relative_date", "single_number", "time",
    "yes_no", "address", "custom_keywords",
)  # fmt: skip
DTMF = ("is_enabled", "inter_digit_timeout", "max_digits", "end_key", "collect_while_agent_speaking", "is_pii")
VAD = ("provider", "vad_start", "vad_end", "speech_threshold", "silence_threshold")
SETTINGS = {
    # key in the file -> (key of the projection, what stands in it)
    "asr_biasing": ("asrBiasing", BIASES),
    "dtmf_config": ("dtmf", DTMF),
    "asr": ("asr", ("provider", "model")),
    "vad": ("vad", VAD),
    "barge_in": ("bargeIn", ("is_enabled",)),
    "llm": ("llm", ("provider_model_id", "reasoning_effort")),
}
CASES = {
    "advanced_step": "stepCondition",
    "default_step": "noCodeStepCondition",
    "function_step": "functionStepCondition",
}
EXIT = "exitFlowCondition"


def read(folder: Folder) -> Json:
    words = functions.flow_words(folder)
    named = {as_text(item.get("name")): id for id, item in entity_items(folder)}
    found = {}
    for path in sorted(folder.files):
        if match := layout.FLOW.fullmatch(path):
            flow = _flow(folder, path, match[1], words, named)
            found[flow["id"]] = flow
    return {"flows": {"flows": collection(found)}}


def entity_items(folder: Folder) -> Iterator[tuple[str, Json]]:
    """The entities of the agent with their ids, which steps name."""
    items = folder.items(layout.ENTITIES, "entities")
    for suffix, item in zip(suffixes("entity", (as_text(each.get("name")) for each in items)), items, strict=True):
        yield folder.id("ENTITIES", layout.ENTITIES + suffix), item


def _flow(folder: Folder, path: str, name: str, words: dict[str, str], named: dict[str, str]) -> Json:
    head = folder.yaml(path)
    title = as_text(head.get("name")) or name
    home = f"flows/{clean_name(title)}"
    folder.is_called(path, f"{home}/flow_config.yaml")
    steps: dict[str, Json] = {}
    own: dict[str, Json] = {}
    prompts = []
    for place in sorted(each for each in folder.files if each.startswith(f"flows/{name}/")):
        stem = PurePosixPath(place).stem
        if layout.STEP.fullmatch(place):
            item = folder.yaml(place)
            called = as_text(item.get("name")) or stem
            folder.is_called(place, f"{home}/steps/{clean_name(called)}.yaml")
            id = folder.id("FLOW_STEPS", place)
            steps[id] = {"id": id, "name": called, "type": as_text(item.get("step_type")) or "advanced_step"}
            prompts.append((id, place, item))
        elif layout.FUNCTION_STEP.fullmatch(place):
            folder.is_called(place, f"{home}/function_steps/{stem}.py")
            step = _function_step(folder, place, words)
            steps[step["id"]] = step
        elif layout.FLOW_FUNCTION.fullmatch(place):
            folder.is_called(place, f"{home}/functions/{stem}.py")
            entity = functions.entity_of(folder, place, code.opened(folder.text(place), stem, words))
            own[entity["id"]] = entity
    for id, place, item in prompts:
        steps[id].update(_prompt_step(folder, place, item, steps, named))
    start = as_text(head.get("start_step"))
    return {
        "id": folder.id("FLOW_CONFIG", path),
        "name": title,
        "description": as_text(head.get("description")),
        "startStepId": _step_called(steps, start),
        "steps": collection(steps),
        "transitionFunctions": collection(own),
    }


def _step_called(steps: dict[str, Json], name: str) -> str:
    return next((id for id, step in steps.items() if step["name"] == name), name)


def _function_step(folder: Folder, path: str, words: dict[str, str]) -> Json:
    stem = PurePosixPath(path).stem
    found = code.opened(folder.text(path), stem, words, is_step=True)
    return {
        "id": folder.id("FUNCTION_STEPS", path),
        "name": stem,
        "type": "function_step",
        "function": {
            "id": folder.id("FUNCTION", f"{path}#function"),
            "name": stem,
            "code": found.text,
            "errors": [],
            "latencyControl": functions.delay_of(folder, path, found.delay),
        },
    }


def _prompt_step(folder: Folder, path: str, item: Json, steps: dict[str, Json], named: dict[str, str]) -> Json:
    found: Json = {"prompt": as_text(item.get("prompt")), "settings": _settings(item)}
    if item.get("step_type") != "default_step":
        return found
    conditions = [each for each in item.get("conditions") or () if isinstance(each, dict)]
    found["conditions"] = [_condition(folder, path, each, steps, named) for each in conditions]
    found["references"] = {
        "extractedEntities": {named.get(name, name): True for name in texts(item.get("extracted_entities"))}
    }
    return found


def _condition(folder: Folder, path: str, item: Json, steps: dict[str, Json], named: dict[str, str]) -> Json:
    label = as_text(item.get("name"))
    details = {
        "label": label,
        "description": as_text(item.get("description")),
        "requiredEntities": [named.get(name, name) for name in texts(item.get("required_entities"))],
    }
    id = folder.id("CONDITION", f"{path}#condition/{label}")
    if item.get("condition_type") == "exit_flow_condition":
        return {"id": id, "config": {"$case": EXIT, "value": {"details": details}}}
    child = _step_called(steps, as_text(item.get("child_step")))
    kind = CASES.get(steps[child]["type"] if child in steps else "", CASES["advanced_step"])
    return {"id": id, "config": {"$case": kind, "value": {"details": details, "childStepId": child}}}


def _settings(item: Json) -> Json:
    """Sections that are switched off by default say nothing then."""
    found = {}
    for key, (name, fields) in SETTINGS.items():
        section = mapping(item.get(key))
        values = {field: section[field] for field in fields if section.get(field) is not None}
        if not values:
            continue
        if "reasoning_effort" in values:
            effort = as_text(values["reasoning_effort"])
            values["reasoning_effort"] = EFFORTS.index(effort) if effort in EFFORTS else 0
        found[name] = {camel(field): value for field, value in values.items()}
    return found


def write(projection: Json) -> Iterator[Part]:
    words = functions.words_of(projection)
    named = {id: each["name"] for id, each in entities(projection, "entities", "entities").items()}
    for id, flow in entities(projection, "flows", "flows").items():
        home = f"flows/{clean_name(flow['name'])}"
        steps = entities(flow, "steps")
        start = flow.get("startStepId", "")
        yield Part(
            path=f"{home}/flow_config.yaml",
            content={
                "name": flow["name"],
                "description": flow.get("description", ""),
                "start_step": steps[start]["name"] if start in steps else start,
            },
            ids={"": id},
        )
        for step in steps.values():
            yield _step_part(home, step, steps, named, words)
        for entity in entities(flow, "transitionFunctions").values():
            if not entity.get("archived"):
                yield functions.part_of(f"{home}/functions", entity, words)


def _step_part(home: str, step: Json, steps: dict[str, Json], named: dict[str, str], words: dict[str, str]) -> Part:
    if step["type"] == "function_step":
        function = {**step["function"], "name": step["name"], "description": ""}
        part = functions.part_of(f"{home}/function_steps", function, words, is_step=True)
        return replace(part, ids={**part.ids, "": step["id"], "#function": step["function"]["id"]})
    content: Json = {"step_type": step["type"], "name": step["name"], **_written_settings(step.get("settings") or {})}
    conditions = step.get("conditions") or []
    if step["type"] == "default_step":
        written = [_written_condition(each, steps, named) for each in conditions]
        content["conditions"] = sorted(written, key=lambda each: str(each["name"]))
        extracted = (step.get("references") or {}).get("extractedEntities") or {}
        content["extracted_entities"] = [named.get(id, id) for id in sorted(extracted)]
    content["prompt"] = step.get("prompt", "")
    ids = {f"#condition/{each['config']['value']['details']['label']}": each["id"] for each in conditions}
    return Part(path=f"{home}/steps/{clean_name(step['name'])}.yaml", content=content, ids={"": step["id"], **ids})


def _written_condition(condition: Json, steps: dict[str, Json], named: dict[str, str]) -> Json:
    config = condition["config"]
    details = config["value"]["details"]
    is_exit = config["$case"] == EXIT
    found = {
        "name": details["label"],
        "condition_type": "exit_flow_condition" if is_exit else "step_condition",
        "description": details.get("description", ""),
    }
    if not is_exit:
        child = config["value"].get("childStepId", "")
        found["child_step"] = steps[child]["name"] if child in steps else child
    return {**found, "required_entities": [named.get(id, id) for id in details.get("requiredEntities") or ()]}


def _written_settings(settings: Json) -> Json:
    found: Json = {}
    for key, (name, fields) in SETTINGS.items():
        section = mapping(settings.get(name))
        if key in ("asr_biasing", "dtmf_config") and not section.get("isEnabled"):
            continue  # switched off: the client writes nothing
        values: dict[str, Any] = {
            field: section[camel(field)] for field in fields if section.get(camel(field)) is not None
        }
        if "reasoning_effort" in values:
            values["reasoning_effort"] = EFFORTS[values["reasoning_effort"]]
        elif key == "llm" and values:
            values["reasoning_effort"] = EFFORTS[0]
        if values:
            found[key] = values
    return found
