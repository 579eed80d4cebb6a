"""An OpenAPI document put to a running server by schemathesis: requests that it lets through, and requests that it does not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.core.failures import AcceptedNegativeData, FailureGroup
from schemathesis.openapi.checks import (
    AllowHeaderMismatch,
    RejectedPositiveData,
    UnsupportedMethodResponse,
)

from tests.support.http import KEY, Process
from vivavoce.client import Client

ROOT = Path(__file__).parents[2]
EXAMPLES = 6
IDS = [f"c{n}" for n in range(12)]
KNOWN = {  # values for the path, so that the logic behind it is reached
    "agentId": ["bike-workshop"], "project_id": ["bike-workshop"], "account_id": ["spoke-and-chain"],
    "accountId": ["spoke-and-chain"], "branchId": ["main"], "branch_id": ["main"], "deploymentId": ["draft", "sandbox"],
    "conversationId": IDS, "conversation_id": IDS,
}  # fmt: skip
# What JSON Schema cannot say of a request, and a sentence refuses: the only refusals of what the document lets through.
SENTENCES = (
    r"channel is .* it should be one of",  # many spellings are taken
    r"sort is ",  # it has an error code of its own
    r"cursor (?:is not one that|belongs to)",
    r"query(?:_type)? (?:is given|needs|has no word)|turn_type goes|sample is given",  # modes that contradict themselves
    r"With query_type or sample, start_time and end_time must both be given",
    r"Give variant_id or variant_name, not both",
    r"The start time is after|end_time should be after|at most 31 days|in years from 1971",
    r"slice_by should be",
    r"Give id, the conversation's, or shared_id",
    r"annotations\[\d+\]",  # of a turn that is not there, or a side that said nothing
    r"clientEnv is |Nothing is deployed to",
    r"should be a language tag",
    r"contact should be|exportId takes",
    r"is no regular expression|takes too long|is no category|shown has",
    r"records\[\d+\]",
    r"There is no event id at|There is no such event, or it is over|The body cannot be read as",
    r"expiresAt is in the past|agents is empty|A key needs at least one permission",
    r"There are \d+ keys named",
    r"Expected `int(?: \| null)?`, got `float`",  # 1.0 is a whole number to JSON Schema
    r"holds a NUL character",
    r"This is not a JSON Schema|variables do not fit",
    r"A real-time configuration may be nested 32 levels deep",
    r"\w+ is given \d+ times",
    r"Cannot directly update main branch|cannot be done to the main branch|name of a branch should have",
    r"This is a draft; publish it first|The draft is the folder itself|limit should be a whole number",
    r"There is no deployment|Conversation ID does not exist|A tag should have",
    r"is not an environment: sandbox|What is published goes to sandbox first|The agent would have an error",
    r"The body is no batch of commands|The batch has no commands|Command \d+ |The batch has a field|The name of an A/B test should|chosen_deployment_id should be",
    r"The variant |cannot be read as sound|is not a WAV file|has no sound|settings is not as it should be|settings\.text should|text should have",
    r"has no sound for this text|The turn is .* it should be a number|The body is empty; send a WAV",
)


def fitted(found: dict[str, Any]) -> Any:
    """The schema of a document, with values in its paths that are there."""
    for operations in found["paths"].values():
        for operation in operations.values():
            shared = operation if isinstance(operation, list) else operation.get("parameters", ())
            for parameter in shared:
                if parameter["in"] == "path" and parameter["name"] in KNOWN:
                    parameter["schema"] = {"type": "string", "enum": KNOWN[parameter["name"]]}
    schema = schemathesis.openapi.from_dict(found)
    schema.auth()(Auth)
    return schema


@schemathesis.serializer("audio/wav", "application/octet-stream")
def sound(context: Any, value: Any) -> Any:
    """Whatever bytes were made up: what is no sound, or no batch of commands, has to be told so."""
    return value if isinstance(value, bytes) else str(value).encode()


class Auth:
    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
        return KEY

    def set(self, case: schemathesis.Case, data: str, context: schemathesis.AuthContext) -> None:
        case.headers["X-API-KEY"] = data


SETTINGS = settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@contextmanager
def serving(data: Path) -> Iterator[tuple[str, requests.Session]]:
    """(address, session) of a server with a few conversations."""
    folder = shutil.copytree(ROOT / "examples" / "bike-workshop", data / "agent")  # which merges write into
    process = Process(str(folder), "--data", str(data / "data"), "--model", "local")
    with Client(process.address, KEY) as client:
        for id in IDS:
            client.chats.create("bike-workshop", conversation_id=id, caller_number="+447700900461")
            client.chats.respond("bike-workshop", id, "My name is Sam Field, do you work on electric bikes?")
    with requests.Session() as session:
        yield process.address, session
    assert process.stop() == 0


def check(
    case: schemathesis.Case,
    served: tuple[str, requests.Session],
    *,
    sentences: tuple[str, ...] = (),
    has_less: bool = False,
) -> None:
    """`sentences` may refuse besides; a document that `has_less` names not every method that there is."""
    address, session = served
    response = case.call(base_url=address, session=session)
    try:
        case.validate_response(response)
    except FailureGroup as group:
        left = [failure for failure in group.exceptions if not is_said(failure, response, sentences, has_less)]
        if left:
            raise FailureGroup(left, response.text[:500]) from None


def is_said(failure: BaseException, response: Any, sentences: tuple[str, ...], has_less: bool) -> bool:
    if isinstance(failure, (AllowHeaderMismatch, UnsupportedMethodResponse)):
        return has_less
    if isinstance(failure, AcceptedNegativeData) and " in path" in str(failure):
        return True  # the values for paths are this test's own; others may be there as well, or have been made by then
    if not isinstance(failure, RejectedPositiveData):
        return False
    message = response.json().get("error_message", "")
    return any(re.search(sentence, message) for sentence in (*SENTENCES, *sentences))
