"""test_suite/: simulated conversations with what must hold of them."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from vivavoce.domain.agent import CallAssertion, TestCase
from vivavoce.domain.ids import clean_name
from vivavoce.project.source import Mapping

TYPES = ("string", "integer", "number", "boolean")
_FORMS = {
    "string": re.compile(r".*", re.DOTALL),
    "integer": re.compile(r"[-+]?\d+"),
    "number": re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"),
    "boolean": re.compile(r"(?i:true|false)"),
}


def case(source: Mapping) -> TestCase:
    name = source.text("name", required=True)
    if name and clean_name(name) != PurePosixPath(source.path).stem:
        source.warn("name", "file-name", f"The file of test {name!r} should be called {clean_name(name)}.yaml.")
    simulated_at = source.text("simulated_at")
    if simulated_at and not _is_moment(simulated_at):
        source.error("simulated_at", "bad-time", f"simulated_at is {simulated_at!r}; it should be an ISO 8601 time.")
    headers = source.mapping("sip_headers")
    found = TestCase(
        name=name,
        scenario=source.text("scenario", required=True),
        channel=source.text("channel", "voice", one_of=("voice", "webchat")),
        language=source.text("language"),
        variant=source.text("variant"),
        tags=source.texts("tags"),
        simulated_at=simulated_at,
        caller_number=_quoted(source, "caller_number"),
        sip_headers={key: headers.scalar(key) for key in headers.keys},
        integration_attributes=_plain_mapping(source, "integration_attributes"),
        prompt_assertions=source.texts("prompt_assertions"),
        call_assertions=tuple(_assertion(item) for item in source.mappings("function_call_assertions")),
        path=source.path,
    )
    source.plain("api_mocks")  # for whoever runs the case
    source.close()
    return found


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _quoted(source: Mapping, key: str) -> str:
    """A number that is not in quotes has lost its zeros and its plus already."""
    if isinstance(source.plain(key), (int, float)):
        source.error(key, "wrong-type", f"{key} must be in quotes: as a number it loses its zeros and its plus.")
        return ""
    return source.text(key).strip()


def _plain_mapping(source: Mapping, key: str) -> dict[str, Any]:
    found = source.plain(key)
    if found is not None and not isinstance(found, dict):
        source.error(key, "wrong-type", f"{key} should be a mapping.")
    return found if isinstance(found, dict) else {}


def _assertion(item: Mapping) -> CallAssertion:
    arguments = {}
    for argument in item.mappings("arguments"):
        kind: Any = argument.text("value_type", "string", one_of=TYPES)
        expected = argument.scalar("expected_value")
        if not _FORMS[kind].fullmatch(expected):
            argument.error("expected_value", "wrong-type", f"expected_value is {expected!r}, which is no {kind}.")
        arguments[argument.text("parameter_name", required=True)] = (expected, kind)
        argument.close()
    found = CallAssertion(
        name=item.text("name", required=True), arguments=arguments, is_asserted=item.flag("is_asserted", True)
    )
    item.close()
    return found
