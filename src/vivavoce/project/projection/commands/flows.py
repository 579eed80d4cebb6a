"""Flows: their steps, conditions and functions."""

from __future__ import annotations

from vivavoce.project.projection.commands.functions import code_of, delay_of, function_changes, function_of, name_of
from vivavoce.project.projection.commands.held import (
    Change,
    Payload,
    Refusal,
    add,
    at,
    case_of,
    collection_at,
    merge,
    needed,
    remove,
)
from vivavoce.project.projection.parts import Json, camel, collection, mapping

_FLOWS = ("flows", "flows")

_STEP_SETTINGS = ("asrBiasing", "dtmf", "asr", "vad", "bargeIn", "llm")
_CONDITIONS = ("exitFlowCondition", "stepCondition", "noCodeStepCondition", "functionStepCondition")


def _flow(projection: Json, payload: Payload) -> Json:
    return at(collection_at(projection, *_FLOWS), payload["flowId"], "flow")


def _flow_create(projection: Json, payload: Payload) -> None:
    flow = {key: payload[key] for key in ("name", "description", "startStepId")}
    add(collection_at(projection, *_FLOWS), payload["id"], {**flow, "steps": collection({}), "transitionFunctions": collection({})}, "flow")  # fmt: skip
    found = collection_at(projection, *_FLOWS)["entities"][payload["id"]]
    for function in payload["transitionFunctions"]:
        add(found["transitionFunctions"], function["id"], function_of(function), "function")
    for step in payload["noCodeSteps"]:
        add(found["steps"], step["stepId"], _default_step(step), "step")
    for step in payload["steps"]:
        add(found["steps"], step["id"], _advanced_step(step), "step")


def _flow_update(projection: Json, payload: Payload) -> None:
    flow = _flow(projection, payload)
    start = payload.get("startStepId")
    if start is not None and start not in flow["steps"]["entities"]:
        raise Refusal(f"there is no step {start[:64]!r} to start with")
    merge(flow, {key: payload[key] for key in ("name", "description", "startStepId") if key in payload})


def _flow_delete(projection: Json, payload: Payload) -> None:
    remove(collection_at(projection, *_FLOWS), payload["flowId"], "flow")


def _advanced_step(said: Payload) -> Json:
    legacy = {"asrBiasing": said.get("asrBiasing"), "dtmf": said.get("dtmfConfig")}
    return {
        "name": said["name"],
        "type": "advanced_step",
        "prompt": said["prompt"],
        "settings": {key: value for key, value in legacy.items() if value},
    }


def _default_step(said: Payload) -> Json:
    return {
        "name": said["name"],
        "type": "default_step",
        "prompt": said["prompt"],
        "settings": {},
        "conditions": [],
        "references": {"extractedEntities": mapping(mapping(said.get("references")).get("extractedEntities"))},
    }


def _step(projection: Json, payload: Payload, id: str, *kinds: str) -> Json:
    found = at(_flow(projection, payload)["steps"], id, "step")
    if kinds and found["type"] not in kinds:
        raise Refusal(f"step {found['name'][:64]!r} is of another kind ({found['type']})")
    return found


def _step_create(projection: Json, payload: Payload) -> None:
    step = needed(payload, "step")
    add(_flow(projection, payload)["steps"], step["id"], _advanced_step(step), "step")


def _step_update(projection: Json, payload: Payload) -> None:
    step = needed(payload, "step")
    changes: Json = {key: step[key] for key in ("name", "prompt") if key in step}
    merge(_step(projection, payload, step["id"], "advanced_step"), changes)


def _step_delete(projection: Json, payload: Payload) -> None:
    flow = _flow(projection, payload)
    remove(flow["steps"], payload["stepId"], "step")
    for step in flow["steps"]["entities"].values():
        if "conditions" in step:  # those that led to it go with it
            step["conditions"] = [
                each for each in step["conditions"] if each["config"]["value"].get("childStepId") != payload["stepId"]
            ]


def _default_step_create(projection: Json, payload: Payload) -> None:
    add(_flow(projection, payload)["steps"], payload["stepId"], _default_step(payload), "step")


def _default_step_update(projection: Json, payload: Payload) -> None:
    step = _step(projection, payload, payload["stepId"], "default_step")
    merge(step, {key: payload[key] for key in ("name", "prompt") if key in payload})
    if "references" in payload:
        step["references"] = {"extractedEntities": mapping(payload["references"].get("extractedEntities"))}


def _function_step_create(projection: Json, payload: Payload) -> None:
    step = needed(payload, "functionStep")
    function = needed(step, "function")
    entity = {
        "name": name_of(step),
        "type": "function_step",
        "function": {
            "id": function["id"],
            "name": name_of(step),
            "code": code_of(function),
            "errors": [],
            "latencyControl": delay_of(function.get("latencyControl") or {}),
        },
    }
    add(_flow(projection, payload)["steps"], step["id"], entity, "step")


def _function_step_update(projection: Json, payload: Payload) -> None:
    said = needed(payload, "functionStep")
    step = _step(projection, payload, payload["stepId"], "function_step")
    function = mapping(said.get("function"))
    if "name" in said:
        step["name"] = step["function"]["name"] = name_of(said)
    if "code" in function:
        step["function"]["code"] = code_of(function)
    if "latencyControl" in function:
        step["function"]["latencyControl"] = delay_of(function["latencyControl"])


def _step_settings(projection: Json, payload: Payload) -> None:
    """A section that is not there stays; one that is there says all of itself."""
    step = _step(projection, payload, payload["stepId"], "advanced_step", "default_step")
    said = mapping(payload.get("settings"))
    effort = mapping(said.get("llm")).get("reasoningEffort", 0)
    if not 0 <= effort < 6:
        raise Refusal(f"there is no reasoning effort {effort}")
    step.setdefault("settings", {}).update({key: said[key] for key in _STEP_SETTINGS if key in said})


def _step_settings_clear(projection: Json, payload: Payload) -> None:
    step = _step(projection, payload, payload["stepId"], "advanced_step", "default_step")
    for section in payload["sections"]:
        step.get("settings", {}).pop(camel(section), None)


def _condition(projection: Json, payload: Payload) -> tuple[Json, Json, int | None]:
    """(its step, the condition as it is said, its place where it is there already)."""
    step = _step(projection, payload, payload["stepId"], "default_step")
    config = case_of(payload, *_CONDITIONS)
    if not mapping(config["value"].get("details")).get("label"):
        raise Refusal("the condition has no label")
    child = config["value"].get("childStepId")
    if config["$case"] != _CONDITIONS[0] and child not in _flow(projection, payload)["steps"]["entities"]:
        raise Refusal(f"there is no step {str(child)[:64]!r} for the condition to lead to")
    return step, {"id": payload["conditionId"], "config": config}, _place(step, payload["conditionId"])


def _place(step: Json, id: str) -> int | None:
    return next((n for n, each in enumerate(step["conditions"]) if each["id"] == id), None)


def _condition_create(projection: Json, payload: Payload) -> None:
    step, condition, place = _condition(projection, payload)
    if place is not None:
        raise Refusal(f"there is a condition {condition['id'][:64]!r} already")
    step["conditions"].append(condition)


def _condition_update(projection: Json, payload: Payload) -> None:
    step, condition, place = _condition(projection, payload)
    if place is None:
        raise Refusal(f"there is no condition {condition['id'][:64]!r}")
    step["conditions"][place] = condition


def _condition_delete(projection: Json, payload: Payload) -> None:
    step = _step(projection, payload, payload["stepId"], "default_step")
    place = _place(step, payload["conditionId"])
    if place is None:
        raise Refusal(f"there is no condition {payload['conditionId'][:64]!r}")
    del step["conditions"][place]


def _own_function_create(projection: Json, payload: Payload) -> None:
    function = needed(payload, "transitionFunction")
    add(_flow(projection, payload)["transitionFunctions"], function["id"], function_of(function), "function")


def _own_function_update(projection: Json, payload: Payload) -> None:
    said = needed(payload, "transitionFunction")
    merge(at(_flow(projection, payload)["transitionFunctions"], said["id"], "function"), function_changes(said))


def _own_function_delete(projection: Json, payload: Payload) -> None:
    remove(_flow(projection, payload)["transitionFunctions"], payload["functionId"], "function")


def _own_latency(projection: Json, payload: Payload) -> None:
    said = needed(payload, "latencyControl")
    function = at(_flow(projection, payload)["transitionFunctions"], said["functionId"], "function")
    function.setdefault("latencyControl", {}).update(delay_of(said))


CHANGES: dict[str, Change] = {
    "create_flow": _flow_create,
    "update_flow": _flow_update,
    "delete_flow": _flow_delete,
    "create_flow_step": _step_create,
    "update_flow_step": _step_update,
    "delete_flow_step": _step_delete,
    "create_no_code_step": _default_step_create,
    "update_no_code_step": _default_step_update,
    "delete_no_code_step": _step_delete,
    "create_step": _function_step_create,
    "update_step": _function_step_update,
    "delete_step": _step_delete,
    "update_step_settings": _step_settings,
    "clear_step_settings": _step_settings_clear,
    "create_no_code_condition": _condition_create,
    "update_no_code_condition": _condition_update,
    "delete_no_code_condition": _condition_delete,
    "create_flow_transition_function": _own_function_create,
    "update_flow_transition_function": _own_function_update,
    "delete_flow_transition_function": _own_function_delete,
    "update_flow_transition_function_latency_control": _own_latency,
}  # fmt: skip
