"""Test cases."""

from __future__ import annotations

import re

from vivavoce.project.projection.commands.held import (
    Change,
    Payload,
    Refusal,
    add,
    at,
    case_of,
    collection_at,
    deletes,
    in_order,
    updates,
)
from vivavoce.project.projection.parts import Json, mapping

_CASES = ("testing", "testCases")
MOST_NESTED = 32


def _case_create(projection: Json, payload: Payload) -> None:
    add(collection_at(projection, *_CASES), payload["id"], {"assertions": [], "tags": [], **payload}, "test case")


def _case_put(key: str) -> Change:
    def change(projection: Json, payload: Payload) -> None:
        at(collection_at(projection, *_CASES), payload["id"], "test case")[key] = in_order(payload.get(key))

    return change


def _case_assertions(projection: Json, payload: Payload) -> None:
    found = at(collection_at(projection, *_CASES), payload["id"], "test case")
    found["assertions"] = [
        {"payload": case_of(in_order(each), "prompt", "functionCall")} for each in payload["assertions"]
    ]


def _case_mock(projection: Json, payload: Payload) -> None:
    found = at(collection_at(projection, *_CASES), payload["id"], "test case")
    mocks = found.setdefault("apiMocks", {}).setdefault(payload["integrationName"], {})
    for response in payload["responses"]:
        body = mapping(response.get("respond")).get("body")
        if isinstance(body, str) and _nesting(body) > MOST_NESTED:
            raise Refusal(f"the body of a mock may be nested {MOST_NESTED} deep")
    mocks[payload["operationName"]] = payload["responses"]


def _nesting(text: str) -> int:
    """At most: brackets within texts count as well."""
    depth = most = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        most = max(most, depth)
    return most


def _case_mock_delete(projection: Json, payload: Payload) -> None:
    found = at(collection_at(projection, *_CASES), payload["id"], "test case")
    mocks = mapping(found.get("apiMocks"))
    operations = mapping(mocks.get(payload["integrationName"]))
    if operations.pop(payload["operationName"], None) is None:
        raise Refusal("there is no such mock")
    if not operations:
        del mocks[payload["integrationName"]]


CHANGES: dict[str, Change] = {
    "create_test_case": _case_create,
    "update_test_case": updates("test case", *_CASES),
    "delete_test_case": deletes("test case", *_CASES),
    "set_test_case_assertions": _case_assertions,
    "set_test_case_tags": _case_put("tags"),
    "set_test_case_sip_headers": _case_put("sipHeaders"),
    "set_test_case_integration_attributes": _case_put("integrationAttributes"),
    "update_test_case_api_operation_mock": _case_mock,
    "delete_test_case_api_operation_mock": _case_mock_delete,
}  # fmt: skip
