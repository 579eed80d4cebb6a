"""test_suite/: simulated conversations and what must hold of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from vivavoce.domain.ids import clean_name
from vivavoce.project import layout
from vivavoce.project.projection import variants
from vivavoce.project.projection.parts import Folder, Json, Part, as_text, collection, entities, mapping, texts

CHANNELS = {"voice": "chat.polyai", "webchat": "webchat.polyai"}


def read(folder: Folder) -> Json:
    names = variants.variant_ids(folder)
    found = {}
    for path in sorted(folder.files):
        if layout.TEST_CASE.fullmatch(path):
            case = _case(folder, path, names)
            found[case["id"]] = case
    return {"testing": {"testCases": collection(found)}}


def _case(folder: Folder, path: str, names: dict[str, str]) -> Json:
    item = folder.yaml(path)
    name = as_text(item.get("name")) or PurePosixPath(path).stem
    folder.is_called(path, f"test_suite/{clean_name(name)}.yaml")
    channel = as_text(item.get("channel")) or "voice"
    variant = as_text(item.get("variant"))
    return {
        "id": folder.id("TEST_CASES", path),
        "name": name,
        "scenario": as_text(item.get("scenario")),
        "channel": CHANNELS.get(channel, channel),
        "language": as_text(item.get("language")),
        "variantId": names.get(variant, variant),
        "callerNumber": as_text(item.get("caller_number")),
        "simulatedAt": as_text(item.get("simulated_at")),
        "tags": texts(item.get("tags")),
        "sipHeaders": {key: as_text(value) for key, value in mapping(item.get("sip_headers")).items()},
        "integrationAttributes": mapping(item.get("integration_attributes")),
        "apiMocks": {
            name: {
                operation: [_rule(rule) for rule in (rules if isinstance(rules, list) else ())]
                for operation, rules in mapping(operations).items()
            }
            for name, operations in mapping(item.get("api_mocks")).items()
        },
        "assertions": [*_prompts(item), *_calls(item)],
    }


def _prompts(item: Json) -> Iterator[Json]:
    for text in texts(item.get("prompt_assertions")):
        yield {"payload": {"$case": "prompt", "value": {"value": text}}}


def _calls(item: Json) -> Iterator[Json]:
    for call in item.get("function_call_assertions") or ():
        arguments = [each for each in mapping(call).get("arguments") or () if isinstance(each, dict)]
        value = {
            "name": as_text(mapping(call).get("name")),
            "arguments": {
                as_text(each.get("parameter_name")): {
                    "valueType": as_text(each.get("value_type")) or "string",
                    "assertionType": "equals",
                    "expectedValue": each.get("expected_value"),
                }
                for each in arguments
            },
            "isAsserted": mapping(call).get("is_asserted") is not False,
        }
        yield {"payload": {"$case": "functionCall", "value": value}}


def _rule(rule: Any) -> Json:
    """What is answered is sent as text, whatever it is in the file."""
    respond = dict(mapping(mapping(rule).get("respond")))
    if respond.get("body") is not None and not isinstance(respond["body"], str):
        respond["body"] = json.dumps(respond["body"])
    return {**mapping(rule), "respond": respond}


def _body(text: Any) -> Any:
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return text
    return text if value is None or isinstance(value, str) else value


def write(projection: Json) -> Iterator[Part]:
    named = {id: each["name"] for id, each in entities(projection, "variantManagement", "variants").items()}
    for id, case in entities(projection, "testing", "testCases").items():
        yield Part(path=f"test_suite/{clean_name(case['name'])}.yaml", content=_written(case, named), ids={"": id})


def _written(case: Json, named: dict[str, str]) -> Json:
    spoken = {value: name for name, value in CHANNELS.items()}
    optional = {
        "variant": named.get(case.get("variantId", ""), case.get("variantId")),
        "caller_number": case.get("callerNumber"),
        "simulated_at": case.get("simulatedAt"),
        "tags": case.get("tags"),
        "sip_headers": case.get("sipHeaders"),
        "integration_attributes": case.get("integrationAttributes"),
        "api_mocks": _written_mocks(mapping(case.get("apiMocks"))),
        "prompt_assertions": [each["value"] for each in _of_case(case, "prompt")],
        "function_call_assertions": sorted(
            (_written_call(each) for each in _of_case(case, "functionCall")), key=lambda each: str(each["name"])
        ),
    }
    return {
        "name": case["name"],
        "scenario": case.get("scenario", ""),
        "channel": spoken.get(case.get("channel", ""), case.get("channel", "")),
        "language": case.get("language", ""),
        **{key: value for key, value in optional.items() if value},
    }


def _of_case(case: Json, kind: str) -> list[Json]:
    payloads = [each["payload"] for each in case.get("assertions") or ()]
    return [each["value"] for each in payloads if each["$case"] == kind]


def _written_call(value: Json) -> Json:
    arguments = [
        {"parameter_name": name, "expected_value": each.get("expectedValue"), "value_type": each["valueType"]}
        for name, each in sorted(value["arguments"].items())
    ]
    found: Json = {"name": value["name"], "arguments": arguments}
    return found if value.get("isAsserted", True) else {**found, "is_asserted": False}


def _written_mocks(mocks: Json) -> Json:
    return {
        name: {operation: [_written_rule(rule) for rule in mocks[name][operation]] for operation in sorted(mocks[name])}
        for name in sorted(mocks)
    }


def _written_rule(rule: Any) -> Json:
    respond = mapping(mapping(rule).get("respond"))
    written: Json = {"status": respond.get("status", 200)}
    if respond.get("body") is not None:
        written["body"] = _body(respond["body"])
    if respond.get("headers"):
        written["headers"] = respond["headers"]
    found: Json = {"respond": written}
    return {**found, "repeat": rule["repeat"]} if mapping(rule).get("repeat") is not None else found
