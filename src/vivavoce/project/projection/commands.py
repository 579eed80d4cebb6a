"""Applying what a client pushes to a projection: one function for each kind of command, in one table.

A command that cannot be applied is refused by its number and type, and with it the whole batch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from vivavoce.domain.pushed import Command
from vivavoce.errors import Invalid
from vivavoce.project.projection import settings
from vivavoce.project.projection.parts import Json, camel, collection, mapping

Payload: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Json, Payload], None]
_CHANNELS = ("voice", "webChat")
_STEP_SETTINGS = ("asrBiasing", "dtmf", "asr", "vad", "bargeIn", "llm")
_CONDITIONS = ("exitFlowCondition", "stepCondition", "noCodeStepCondition", "functionStepCondition")


class CommandRefused(Invalid):
    code = "COMMAND_REFUSED"


class _Refusal(Exception):
    """Why a command cannot be applied, said within one of the functions below."""


def apply(projection: Json, commands: Sequence[Command]) -> Json:
    """The projection after all of them. Raises CommandRefused."""
    after = copy.deepcopy(projection)
    for number, command in enumerate(commands, 1):
        change = CHANGES.get(command.type)
        try:
            if change is None:
                raise _Refusal("this type is not applied here")
            change(after, command.payload)
        except _Refusal as refusal:
            raise CommandRefused(
                f"Command {number} of {len(commands)} ({command.type}): {refusal}. Nothing was changed."
            ) from None
    return after


# Collections.


def _collection(projection: Json, *path: str) -> Json:
    held = projection
    for key in path:
        held = held.setdefault(key, {})
    if "entities" not in held:
        held.update(collection({}))
    return held


def _at(held: Json, id: str, what: str) -> Json:
    found: Json | None = held["entities"].get(id)
    if found is None:
        raise _Refusal(f"there is no {what} {id[:64]!r}")
    return found


def _add(held: Json, id: str, entity: Json, what: str) -> None:
    if not id:
        raise _Refusal(f"the {what} has no id")
    if id in held["entities"]:
        raise _Refusal(f"there is a {what} {id[:64]!r} already")
    held["ids"].append(id)
    held["entities"][id] = {"id": id, **entity}


def _remove(held: Json, id: str, what: str) -> Json:
    found = _at(held, id, what)
    held["ids"].remove(id)
    del held["entities"][id]
    return found


def _merge(entity: Json, changes: Json) -> None:
    entity.update({key: value for key, value in changes.items() if key != "id"})


def _creates(what: str, *path: str, shaped: Callable[[Payload], Json] = dict) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        _add(_collection(projection, *path), payload["id"], shaped(payload), what)

    return change


def _updates(what: str, *path: str, shaped: Callable[[Payload], Json] = dict) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        _merge(_at(_collection(projection, *path), payload.get("id", ""), what), shaped(payload))

    return change


def _deletes(what: str, *path: str, id: str = "id") -> Change:
    def change(projection: Json, payload: Payload) -> None:
        _remove(_collection(projection, *path), payload[id], what)

    return change


def _crud(
    what: str, names: tuple[str, str, str], *path: str, shaped: Callable[[Payload], Json] = dict
) -> dict[str, Change]:
    create, update, delete = names
    return {
        create: _creates(what, *path, shaped=shaped),
        update: _updates(what, *path, shaped=shaped),
        delete: _deletes(what, *path),
    }


# What a payload says otherwise than a projection.


def _topic(payload: Payload) -> Json:
    found = dict(payload)
    if "exampleQueries" in payload:
        found["exampleQueries"] = [{"query": text} for text in payload["exampleQueries"]["queries"]]
    return found


def _handoff(payload: Payload) -> Json:
    found = dict(payload)
    if "sipConfig" in payload:
        found["sipConfig"] = {"config": _case(payload["sipConfig"], "invite", "refer", "bye")}
    return found


def _entity(payload: Payload) -> Json:
    kinds = ("numeric", "alphanumeric", "enum", "date", "phoneNumber", "time", "address", "freeText", "nameConfig")
    return {**{key: payload[key] for key in ("id", "name", "type", "description")}, "config": _case(payload, *kinds)}


def _case(payload: Payload, *kinds: str) -> Json:
    for kind in kinds:
        if kind in payload:
            return {"$case": kind, "value": payload[kind]}
    raise _Refusal(f"it should have one of {', '.join(kinds)}")


def _correction_changes(projection: Json, payload: Payload) -> None:
    held = _collection(projection, "transcriptCorrections", "transcriptCorrections")
    for each in mapping(payload.get("data")).get("corrections") or ():
        _merge(_at(held, each["id"], "correction"), each)


def _sms_update(projection: Json, payload: Payload) -> None:
    found = _at(_collection(projection, "sms", "templates"), payload["id"], "template")
    numbers = {**mapping(found.get("envPhoneNumbers")), **mapping(payload.get("envPhoneNumbers"))}
    _merge(found, {**payload, "envPhoneNumbers": numbers})


def _make_default(what: str, *path: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        held = _collection(projection, *path)
        _at(held, payload["id"], what)
        for id, each in held["entities"].items():
            each["isDefault"] = id == payload["id"]

    return change


# Pronunciations have an order.


def _pronunciation_create(projection: Json, payload: Payload) -> None:
    held = _collection(projection, "pronunciations", "pronunciations")
    _add(held, payload["id"], payload, "pronunciation")
    _in_order(held)


def _pronunciation_update(projection: Json, payload: Payload) -> None:
    held = _collection(projection, "pronunciations", "pronunciations")
    _merge(_at(held, payload.get("id", ""), "pronunciation"), payload)
    _in_order(held)


def _in_order(held: Json) -> None:
    held["entities"] = dict(sorted(held["entities"].items(), key=lambda item: item[1].get("position", 0)))
    held["ids"] = list(held["entities"])


# Variants and attributes.

_VARIANTS = ("variantManagement", "variants")
_ATTRIBUTES = ("variantManagement", "attributes")
_VALUES = ("variantManagement", "variantAttributeValues")


def _variant_create(projection: Json, payload: Payload) -> None:
    _add(_collection(projection, *_VARIANTS), payload["id"], {"name": payload["name"], "isDefault": False}, "variant")
    _values_of(projection, payload["id"], mapping(payload.get("attributeValues")))


def _variant_update(projection: Json, payload: Payload) -> None:
    found = _at(_collection(projection, *_VARIANTS), payload["id"], "variant")
    if "name" in payload:
        found["name"] = payload["name"]
    _values_of(projection, payload["id"], mapping(payload.get("attributeValues")))


def _values_of(projection: Json, variant: str, values: Json) -> None:
    held = _collection(projection, *_VALUES)
    if variant not in held["entities"]:
        _add(held, variant, {"values": {}}, "list of values")
    held["entities"][variant]["values"].update(values.get("values") or {})
    if values.get("typedValues"):
        held["entities"][variant].setdefault("typedValues", {}).update(_sorted(values["typedValues"]))


def _sorted(value: Any) -> Any:
    """The wire keeps no order of what authors may nest as they like."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _variant_delete(projection: Json, payload: Payload) -> None:
    _remove(_collection(projection, *_VARIANTS), payload["id"], "variant")
    held = _collection(projection, *_VALUES)
    if payload["id"] in held["entities"]:
        _remove(held, payload["id"], "list of values")


def _attribute_create(projection: Json, payload: Payload) -> None:
    entity = {"name": payload["name"], "archived": False, "type": _attribute_type(payload)}
    _add(_collection(projection, *_ATTRIBUTES), payload["id"], entity, "attribute")
    _attribute_values(projection, payload)


def _attribute_update(projection: Json, payload: Payload) -> None:
    found = _at(_collection(projection, *_ATTRIBUTES), payload["id"], "attribute")
    if "name" in payload:
        found["name"] = payload["name"]
    if "type" in payload:
        found["type"] = _attribute_type(payload)
    _attribute_values(projection, payload)


def _attribute_type(payload: Payload) -> Json:
    said = mapping(payload.get("type"))
    found: Json = {"kind": said.get("kind", 0)}
    if not 0 <= found["kind"] < 5:
        raise _Refusal(f"there is no kind {found['kind']} of attributes")
    return {**found, "config": _case(said, "enumConfig")} if "enumConfig" in said else found


def _attribute_values(projection: Json, payload: Payload) -> None:
    said = mapping(payload.get("variantValues"))
    known = _collection(projection, *_VARIANTS)["entities"]
    typed = said.get("typedValues") or {}
    for variant, value in mapping(said.get("values")).items():
        if variant not in known:
            raise _Refusal(f"there is no variant {variant[:64]!r}")
        values: Json = {"values": {payload["id"]: value}}
        if variant in typed:
            values["typedValues"] = {payload["id"]: typed[variant]}
        _values_of(projection, variant, values)


def _attribute_delete(projection: Json, payload: Payload) -> None:
    _remove(_collection(projection, *_ATTRIBUTES), payload["id"], "attribute")
    for held in _collection(projection, *_VALUES)["entities"].values():
        held["values"].pop(payload["id"], None)
        held.get("typedValues", {}).pop(payload["id"], None)


# API integrations.

_INTEGRATIONS = ("apiIntegrations", "apiIntegrations")
_STAGES = {"sandbox": "sandbox", "pre-release": "preRelease", "live": "live"}


def _integration_create(projection: Json, payload: Payload) -> None:
    _add(_collection(projection, *_INTEGRATIONS), payload["id"], {**payload, "operations": {}}, "integration")


def _integration_config(projection: Json, payload: Payload) -> None:
    found = _at(_collection(projection, *_INTEGRATIONS), payload["id"], "integration")
    stage = _STAGES.get(payload["environment"])
    if stage is None:
        raise _Refusal(f"there is no environment {payload['environment'][:40]!r}")
    config = found.setdefault("environments", {}).setdefault(stage, {})
    config.update({key: payload[key] for key in ("baseUrl", "authType") if key in payload})


def _operations(projection: Json, payload: Payload) -> Json:
    found = _at(_collection(projection, *_INTEGRATIONS), payload.get("integrationId", ""), "integration")
    operations: Json = found.setdefault("operations", {})
    return operations


def _operation_create(projection: Json, payload: Payload) -> None:
    operations = _operations(projection, payload)
    if not payload["id"] or payload["id"] in operations:
        raise _Refusal(f"there is an operation {payload['id'][:64]!r} already")
    operations[payload["id"]] = {key: payload[key] for key in ("id", "name", "method", "resource")}


def _operation_update(projection: Json, payload: Payload) -> None:
    operations = _operations(projection, payload)
    if payload["id"] not in operations:
        raise _Refusal(f"there is no operation {payload['id'][:64]!r}")
    operations[payload["id"]].update({key: payload[key] for key in ("name", "method", "resource") if key in payload})


def _operation_delete(projection: Json, payload: Payload) -> None:
    if _operations(projection, payload).pop(payload["id"], None) is None:
        raise _Refusal(f"there is no operation {payload['id'][:64]!r}")


# Functions, also those of flows.


def _parameters(said: Sequence[Payload]) -> Json:
    return collection({each["id"]: dict(each) for each in said})


def _delay(said: Payload) -> Json:
    found = {key: value for key, value in said.items() if key not in ("functionId", "delayResponses")}
    messages = said.get("delayResponses")
    if isinstance(messages, dict):  # an update wraps them, so that none can be told from nothing said
        messages = messages["delayResponses"]
    if messages is not None:
        found["delayResponses"] = collection({each["id"]: dict(each) for each in messages})
    return found


def _function(payload: Payload) -> Json:
    """As it is created: everything is there, if only by default."""
    return {
        "name": payload["name"],
        "description": payload.get("description", ""),
        "parameters": _parameters(payload.get("parameters") or []),
        "code": payload["code"],
        "errors": [],
        "latencyControl": _delay(payload.get("latencyControl") or {}),
        "archived": bool(payload.get("archived")),
    }


def _function_changes(payload: Payload) -> Json:
    found: Json = {key: payload[key] for key in ("name", "description", "code", "archived") if key in payload}
    if "parameters" in payload:
        found["parameters"] = _parameters(payload["parameters"]["parameters"])
    return found


_FUNCTIONS = ("functions", "functions")


def _latency(projection: Json, payload: Payload) -> None:
    id = payload["functionId"]
    special = next((each for each in projection["specialFunctions"].values() if each["id"] == id), None)
    function = special or _at(_collection(projection, *_FUNCTIONS), id, "function")
    function.setdefault("latencyControl", {}).update(_delay(payload))


def _special_create(which: str, name: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        held = projection["specialFunctions"]
        if which in held and not held[which].get("archived"):
            raise _Refusal(f"there is a {name} already")
        held[which] = {"id": payload["id"], **_function({**payload, "name": name})}

    return change


def _special_update(which: str, name: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        _merge(_special(projection, which, name, payload), _function_changes(payload))

    return change


def _special_delete(which: str, name: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        _special(projection, which, name, payload)
        del projection["specialFunctions"][which]

    return change


def _special(projection: Json, which: str, name: str, payload: Payload) -> Json:
    found: Json | None = projection["specialFunctions"].get(which)
    if found is None or found["id"] != payload["id"]:
        raise _Refusal(f"there is no {name} {payload['id'][:64]!r}")
    return found


# Flows.

_FLOWS = ("flows", "flows")


def _flow(projection: Json, payload: Payload) -> Json:
    return _at(_collection(projection, *_FLOWS), payload["flowId"], "flow")


def _flow_create(projection: Json, payload: Payload) -> None:
    flow = {key: payload[key] for key in ("name", "description", "startStepId")}
    _add(_collection(projection, *_FLOWS), payload["id"], {**flow, "steps": collection({}), "transitionFunctions": collection({})}, "flow")  # fmt: skip
    found = _collection(projection, *_FLOWS)["entities"][payload["id"]]
    for function in payload["transitionFunctions"]:
        _add(found["transitionFunctions"], function["id"], _function(function), "function")
    for step in payload["noCodeSteps"]:
        _add(found["steps"], step["stepId"], _default_step(step), "step")
    for step in payload["steps"]:
        _add(found["steps"], step["id"], _advanced_step(step), "step")


def _flow_update(projection: Json, payload: Payload) -> None:
    flow = _flow(projection, payload)
    start = payload.get("startStepId")
    if start is not None and start not in flow["steps"]["entities"]:
        raise _Refusal(f"there is no step {start[:64]!r} to start with")
    _merge(flow, {key: payload[key] for key in ("name", "description", "startStepId") if key in payload})


def _flow_delete(projection: Json, payload: Payload) -> None:
    _remove(_collection(projection, *_FLOWS), payload["flowId"], "flow")


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
    found = _at(_flow(projection, payload)["steps"], id, "step")
    if kinds and found["type"] not in kinds:
        raise _Refusal(f"step {found['name'][:64]!r} is of another kind ({found['type']})")
    return found


def _step_create(projection: Json, payload: Payload) -> None:
    step = _needed(payload, "step")
    _add(_flow(projection, payload)["steps"], step["id"], _advanced_step(step), "step")


def _step_update(projection: Json, payload: Payload) -> None:
    step = _needed(payload, "step")
    changes: Json = {key: step[key] for key in ("name", "prompt") if key in step}
    _merge(_step(projection, payload, step["id"], "advanced_step"), changes)


def _step_delete(projection: Json, payload: Payload) -> None:
    flow = _flow(projection, payload)
    _remove(flow["steps"], payload["stepId"], "step")
    for step in flow["steps"]["entities"].values():
        if "conditions" in step:  # those that led to it go with it
            step["conditions"] = [
                each for each in step["conditions"] if each["config"]["value"].get("childStepId") != payload["stepId"]
            ]


def _default_step_create(projection: Json, payload: Payload) -> None:
    _add(_flow(projection, payload)["steps"], payload["stepId"], _default_step(payload), "step")


def _default_step_update(projection: Json, payload: Payload) -> None:
    step = _step(projection, payload, payload["stepId"], "default_step")
    _merge(step, {key: payload[key] for key in ("name", "prompt") if key in payload})
    if "references" in payload:
        step["references"] = {"extractedEntities": mapping(payload["references"].get("extractedEntities"))}


def _function_step_create(projection: Json, payload: Payload) -> None:
    step = _needed(payload, "functionStep")
    function = _needed(step, "function")
    entity = {
        "name": step["name"],
        "type": "function_step",
        "function": {
            "id": function["id"],
            "name": step["name"],
            "code": function["code"],
            "errors": [],
            "latencyControl": _delay(function.get("latencyControl") or {}),
        },
    }
    _add(_flow(projection, payload)["steps"], step["id"], entity, "step")


def _function_step_update(projection: Json, payload: Payload) -> None:
    said = _needed(payload, "functionStep")
    step = _step(projection, payload, payload["stepId"], "function_step")
    function = mapping(said.get("function"))
    if "name" in said:
        step["name"] = step["function"]["name"] = said["name"]
    if "code" in function:
        step["function"]["code"] = function["code"]
    if "latencyControl" in function:
        step["function"]["latencyControl"] = _delay(function["latencyControl"])


def _step_settings(projection: Json, payload: Payload) -> None:
    """A section that is not there stays; one that is there says all of itself."""
    step = _step(projection, payload, payload["stepId"], "advanced_step", "default_step")
    said = mapping(payload.get("settings"))
    effort = mapping(said.get("llm")).get("reasoningEffort", 0)
    if not 0 <= effort < 6:
        raise _Refusal(f"there is no reasoning effort {effort}")
    step.setdefault("settings", {}).update({key: said[key] for key in _STEP_SETTINGS if key in said})


def _step_settings_clear(projection: Json, payload: Payload) -> None:
    step = _step(projection, payload, payload["stepId"], "advanced_step", "default_step")
    for section in payload["sections"]:
        step.get("settings", {}).pop(camel(section), None)


def _condition(projection: Json, payload: Payload) -> tuple[Json, Json, int | None]:
    """(its step, the condition as it is said, its place where it is there already)."""
    step = _step(projection, payload, payload["stepId"], "default_step")
    config = _case(payload, *_CONDITIONS)
    if not mapping(config["value"].get("details")).get("label"):
        raise _Refusal("the condition has no label")
    child = config["value"].get("childStepId")
    if config["$case"] != _CONDITIONS[0] and child not in _flow(projection, payload)["steps"]["entities"]:
        raise _Refusal(f"there is no step {str(child)[:64]!r} for the condition to lead to")
    return step, {"id": payload["conditionId"], "config": config}, _place(step, payload["conditionId"])


def _place(step: Json, id: str) -> int | None:
    return next((n for n, each in enumerate(step["conditions"]) if each["id"] == id), None)


def _condition_create(projection: Json, payload: Payload) -> None:
    step, condition, place = _condition(projection, payload)
    if place is not None:
        raise _Refusal(f"there is a condition {condition['id'][:64]!r} already")
    step["conditions"].append(condition)


def _condition_update(projection: Json, payload: Payload) -> None:
    step, condition, place = _condition(projection, payload)
    if place is None:
        raise _Refusal(f"there is no condition {condition['id'][:64]!r}")
    step["conditions"][place] = condition


def _condition_delete(projection: Json, payload: Payload) -> None:
    step = _step(projection, payload, payload["stepId"], "default_step")
    place = _place(step, payload["conditionId"])
    if place is None:
        raise _Refusal(f"there is no condition {payload['conditionId'][:64]!r}")
    del step["conditions"][place]


def _own_function_create(projection: Json, payload: Payload) -> None:
    function = _needed(payload, "transitionFunction")
    _add(_flow(projection, payload)["transitionFunctions"], function["id"], _function(function), "function")


def _own_function_update(projection: Json, payload: Payload) -> None:
    said = _needed(payload, "transitionFunction")
    _merge(_at(_flow(projection, payload)["transitionFunctions"], said["id"], "function"), _function_changes(said))


def _own_function_delete(projection: Json, payload: Payload) -> None:
    _remove(_flow(projection, payload)["transitionFunctions"], payload["functionId"], "function")


def _own_latency(projection: Json, payload: Payload) -> None:
    said = _needed(payload, "latencyControl")
    function = _at(_flow(projection, payload)["transitionFunctions"], said["functionId"], "function")
    function.setdefault("latencyControl", {}).update(_delay(said))


def _needed(payload: Payload, key: str) -> Json:
    found = payload.get(key)
    if not isinstance(found, dict):
        raise _Refusal(f"it has no {key}")
    return found


# What there is once.


def _persona(projection: Json, payload: Payload) -> None:
    projection["agentSettings"]["persona"].update({"content": payload.get("content", "")})


def _rules(projection: Json, payload: Payload) -> None:
    if "behaviour" in payload:
        projection["agentSettings"]["rules"]["behaviour"] = payload["behaviour"]


def _channel(projection: Json, payload: Payload) -> Json:
    kind = payload["channelType"]
    if kind not in (0, 1):
        raise _Refusal(f"there is no channel {kind} here")
    channel = projection["channels"][_CHANNELS[kind]]
    if not channel.get("status"):
        raise _Refusal("the channel for web chat is switched off")
    config: Json = channel["config"]
    return config


def _greeting(projection: Json, payload: Payload) -> None:
    said = _needed(payload, "greeting")
    _channel(projection, payload)["greeting"].update(
        {key: said[key] for key in ("welcomeMessage", "languageCode") if key in said}
    )


def _style(projection: Json, payload: Payload) -> None:
    _channel(projection, payload)["stylePrompt"]["prompt"] = _needed(payload, "stylePrompt")["prompt"]


def _channel_filters(projection: Json, payload: Payload) -> None:
    _put_filters(_channel(projection, payload)["safetyFilters"], _needed(payload, "safetyFilters"))


def _filters(projection: Json, payload: Payload) -> None:
    _put_filters(projection["contentFilterSettings"], payload)


def _put_filters(filters: Json, said: Payload) -> None:
    filters.update({key: said[key] for key in ("type", "disabled") if key in said})
    filters["azureConfig"].update(said.get("azureConfig") or {})


def _disclaimer(projection: Json, payload: Payload) -> None:
    said = _needed(payload, "disclaimer")
    projection["channels"]["voice"]["disclaimer"].update(
        {key: said[key] for key in ("message", "isEnabled", "languageCode") if key in said}
    )


def _channel_status(projection: Json, payload: Payload) -> None:
    is_on = _needed(payload, "webchat")["status"] == 1
    chat = projection["channels"]["webChat"]
    if is_on and not chat.get("status"):
        projection["channels"]["webChat"] = {"status": 1, "config": settings.no_chat()}
    elif not is_on:
        projection["channels"]["webChat"] = {"status": 0}


def _voice(key: str, said: str | None, *, is_merged: bool = False) -> Change:
    """Puts what stands under `said` of the payload (None: the payload itself) into the voice channel."""

    def change(projection: Json, payload: Payload) -> None:
        voice = projection["channels"]["voice"]
        value = payload if said is None else _needed(payload, said)
        voice[key] = {**voice.get(key, {}), **value} if is_merged else value

    return change


def _voice_reset(key: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        projection["channels"]["voice"].pop(key, None)

    return change


def _default_language(projection: Json, payload: Payload) -> None:
    projection["languages"]["defaultLanguageCode"] = payload["languageCode"]


def _language_add(projection: Json, payload: Payload) -> None:
    code = payload["code"]
    _add(_collection(projection, "languages", "additionalLanguages"), code, {"code": code}, "language")


def _experimental(projection: Json, payload: Payload) -> None:
    held = _collection(projection, "experimentalConfig", "experimentalConfigs")
    id = next(iter(held["entities"]), settings.EXPERIMENTAL_ID)
    if id not in held["entities"]:
        _add(held, id, {"active": True}, "configuration")
    held["entities"][id]["features"] = _sorted(mapping(payload.get("features")))


def _guardrails(projection: Json, payload: Payload) -> None:
    known = projection.setdefault("guardrails", settings.no_guardrails())["guardrails"]
    for each in payload["guardrails"]:
        if not 0 < each["name"] <= len(settings.GUARDRAILS):
            raise _Refusal(f"there is no guardrail {each['name']}")
        known[settings.GUARDRAILS[each["name"] - 1].upper()] = {"enabled": each["enabled"]}


def _custom_guardrail(projection: Json, payload: Payload) -> None:
    projection.setdefault("guardrails", settings.no_guardrails())
    _add(_collection(projection, "guardrails", "customGuardrails"), payload["id"], dict(payload), "guardrail")


def _mcp_upsert(projection: Json, payload: Payload) -> None:
    said = _needed(payload, "server")
    held = _collection(projection, "mcpConfig", "servers")
    entity: Json = {key: said[key] for key in ("providerId", "url", "auth", "timeout") if key in said}
    if "enabledFunctions" in said:
        entity["enabledFunctions"] = said["enabledFunctions"]["names"]
    if said["id"] in held["entities"]:
        held["entities"][said["id"]] = {"id": said["id"], **entity}
    else:
        _add(held, said["id"], entity, "server")


# Documents go by their file's name.


def _document(projection: Json, payload: Payload, *, is_new: bool) -> None:
    held = _collection(projection, "documents", "documents")
    id = payload["path"].upper()
    if is_new:
        _add(held, id, dict(payload), "document")
    else:
        _merge(_at(held, id, "document"), payload)


def _document_create(projection: Json, payload: Payload) -> None:
    _document(projection, payload, is_new=True)


def _document_update(projection: Json, payload: Payload) -> None:
    _document(projection, payload, is_new=False)


def _document_delete(projection: Json, payload: Payload) -> None:
    _remove(_collection(projection, "documents", "documents"), payload["path"].upper(), "document")


# Test cases.

_CASES = ("testing", "testCases")


def _case_create(projection: Json, payload: Payload) -> None:
    _add(_collection(projection, *_CASES), payload["id"], {"assertions": [], "tags": [], **payload}, "test case")


def _case_put(key: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        _at(_collection(projection, *_CASES), payload["id"], "test case")[key] = _sorted(payload.get(key))

    return change


def _case_assertions(projection: Json, payload: Payload) -> None:
    found = _at(_collection(projection, *_CASES), payload["id"], "test case")
    found["assertions"] = [
        {"payload": _case(_sorted(each), "prompt", "functionCall")} for each in payload["assertions"]
    ]


def _case_mock(projection: Json, payload: Payload) -> None:
    found = _at(_collection(projection, *_CASES), payload["id"], "test case")
    mocks = found.setdefault("apiMocks", {}).setdefault(payload["integrationName"], {})
    mocks[payload["operationName"]] = payload["responses"]


def _case_mock_delete(projection: Json, payload: Payload) -> None:
    found = _at(_collection(projection, *_CASES), payload["id"], "test case")
    mocks = mapping(found.get("apiMocks"))
    operations = mapping(mocks.get(payload["integrationName"]))
    if operations.pop(payload["operationName"], None) is None:
        raise _Refusal("there is no such mock")
    if not operations:
        del mocks[payload["integrationName"]]


CHANGES: dict[str, Change] = {
    **_crud("topic", ("create_topic", "update_topic", "delete_topic"), "knowledgeBase", "topics", shaped=_topic),
    "set_topic_tags": _updates("topic", "knowledgeBase", "topics"),
    **_crud(
        "child topic", ("create_child_topic", "update_child_topic", "delete_child_topic"),
        "childOverwrites", "knowledgeBase", "topics", shaped=_topic,
    ),
    "document_create": _document_create,
    "document_update": _document_update,
    "document_delete": _document_delete,
    "create_function": _creates("function", *_FUNCTIONS, shaped=_function),
    "update_function": _updates("function", *_FUNCTIONS, shaped=_function_changes),
    "delete_function": _deletes("function", *_FUNCTIONS),
    "update_latency_control": _latency,
    "create_start_function": _special_create("startFunction", "start_function"),
    "update_start_function": _special_update("startFunction", "start_function"),
    "delete_start_function": _special_delete("startFunction", "start_function"),
    "create_end_function": _special_create("endFunction", "end_function"),
    "update_end_function": _special_update("endFunction", "end_function"),
    "delete_end_function": _special_delete("endFunction", "end_function"),
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
    **_crud("variable", ("variable_create", "variable_update", "variable_delete"), "variables", "variables"),
    **_crud("entity", ("entity_create", "entity_update", "entity_delete"), "entities", "entities", shaped=_entity),
    "variant_create_variant": _variant_create,
    "variant_update_variant": _variant_update,
    "variant_delete_variant": _variant_delete,
    "variant_set_default_variant": _make_default("variant", *_VARIANTS),
    "variant_create_attribute": _attribute_create,
    "variant_update_attribute": _attribute_update,
    "variant_delete_attribute": _attribute_delete,
    **_crud("handoff", ("handoff_create", "handoff_update", "handoff_delete"), "handoff", "handoffs", shaped=_handoff),
    "handoff_set_default": _make_default("handoff", "handoff", "handoffs"),
    "sms_create_template": _creates("template", "sms", "templates"),
    "sms_update_template": _sms_update,
    "sms_delete_template": _deletes("template", "sms", "templates"),
    **_crud(
        "stop keyword", ("stop_keywords_create", "stop_keywords_update", "stop_keywords_delete"), "stopKeywords", "filters"
    ),
    "pronunciations_create_pronunciation": _pronunciation_create,
    "pronunciations_update_pronunciation": _pronunciation_update,
    "pronunciations_delete_pronunciation": _deletes("pronunciation", "pronunciations", "pronunciations"),
    **_crud(
        "keyphrase", ("create_keyphrase_boosting", "update_keyphrase_boosting", "delete_keyphrase_boosting"),
        "keyphraseBoosting", "keyphraseBoosting",
    ),
    "create_transcript_corrections": _creates("correction", "transcriptCorrections", "transcriptCorrections"),
    "update_transcript_corrections": _correction_changes,
    "delete_transcript_corrections": _deletes(
        "correction", "transcriptCorrections", "transcriptCorrections", id="transcriptCorrectionsId"
    ),
    "create_api_integration": _integration_create,
    "update_api_integration": _updates("integration", *_INTEGRATIONS),
    "delete_api_integration": _deletes("integration", *_INTEGRATIONS),
    "update_api_integration_config": _integration_config,
    "create_api_integration_operation": _operation_create,
    "update_api_integration_operation": _operation_update,
    "delete_api_integration_operation": _operation_delete,
    **_crud("translation", ("create_translation", "update_translation", "delete_translation"), "translations", "translations"),
    "update_persona": _persona,
    "update_rules": _rules,
    "channel_update_greeting": _greeting,
    "channel_update_style_prompt": _style,
    "channel_update_safety_filters": _channel_filters,
    "channel_update_status": _channel_status,
    "update_content_filter_settings": _filters,
    "voice_channel_update_disclaimer": _disclaimer,
    "voice_channel_update_silence_filler_utterances": _voice("silenceFillerUtterances", "silenceFillerUtterances"),
    "voice_channel_reset_silence_filler_utterances": _voice_reset("silenceFillerUtterances"),
    "voice_channel_update_ambience": _voice("ambience", "ambience"),
    "voice_channel_update_vad_config": _voice("vadConfig", "vadConfig"),
    "voice_channel_reset_vad_config": _voice_reset("vadConfig"),
    "voice_channel_update_barge_in_config": _voice("bargeInConfig", None, is_merged=True),
    "voice_channel_reset_barge_in_config": _voice_reset("bargeInConfig"),
    "languages_update_default_language": _default_language,
    "languages_add_language": _language_add,
    "languages_delete_language": _deletes("language", "languages", "additionalLanguages", id="code"),
    "experimental_config_update_config": _experimental,
    "update_guardrails": _guardrails,
    "create_custom_guardrail": _custom_guardrail,
    "update_custom_guardrail": _updates("guardrail", "guardrails", "customGuardrails"),
    "delete_custom_guardrail": _deletes("guardrail", "guardrails", "customGuardrails"),
    "upsert_mcp_server": _mcp_upsert,
    "delete_mcp_server": _deletes("server", "mcpConfig", "servers"),
    "create_test_case": _case_create,
    "update_test_case": _updates("test case", *_CASES),
    "delete_test_case": _deletes("test case", *_CASES),
    "set_test_case_assertions": _case_assertions,
    "set_test_case_tags": _case_put("tags"),
    "set_test_case_sip_headers": _case_put("sipHeaders"),
    "set_test_case_integration_attributes": _case_put("integrationAttributes"),
    "update_test_case_api_operation_mock": _case_mock,
    "delete_test_case_api_operation_mock": _case_mock_delete,
}  # fmt: skip
