"""What other systems ask and tell: events for a conversation, the state of one that was handed over, what is remembered."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import msgspec

from vivavoce.api.route import Answer, Call, Route
from vivavoce.errors import Invalid
from vivavoce.wire.chat import encode
from vivavoce.wire.query import Query
from vivavoce.wire.surroundings import EventReceivedResponse, HandoffState, MemoryResponse, memory

LOCATIONS = ("headers", "querystring", "payload")


async def webhook(call: Call) -> Answer:
    """Where in the request the event's id stands is told by `event_id_location` and `event_id_path`."""
    query = call.query
    location, path = query["event_id_location"], query["event_id_path"]
    if location not in LOCATIONS or not path or not query["account_id"] or not query["project_id"]:
        raise Invalid(
            "event_id_location (headers, querystring or payload), event_id_path, account_id and project_id are needed."
        )
    data = _payload(call)
    found: Any
    if location == "headers":
        found = call.request.headers.get(path) if path.isascii() else None
    elif location == "querystring":
        found = call.request.query_params.get(path)
    else:
        found = _at(data, path)
    if not isinstance(found, (str, int)) or isinstance(found, bool) or not str(found).strip():
        raise Invalid(f"There is no event id at {path[:80]!r} in the {location}.")
    await call.services.events.receive(
        call.principal, query["account_id"], query["project_id"], str(found).strip(), data
    )
    return Answer(status=201, body=encode(EventReceivedResponse(event_id=str(found).strip())))


def _payload(call: Call) -> Any:
    kind = call.request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    raw = call.raw
    try:
        # Whoever posts JSON by hand often forgets to say so.
        if kind.endswith("json") or (kind != "text/plain" and raw.lstrip()[:1] in (b"{", b"[")):
            return msgspec.json.decode(raw) if raw else {}
        text = raw.decode("utf-8")
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=1000))
        if kind.endswith("xml"):
            if "<!DOCTYPE" in text or "<!ENTITY" in text:
                raise Invalid("XML with a document type is not taken.")
            return _plain(ElementTree.fromstring(text), 0)  # noqa: S314  # without a document type nothing can be expanded
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ElementTree.ParseError, RecursionError) as error:
        raise Invalid(f"The body cannot be read as {kind}.") from error
    return text


def _plain(element: ElementTree.Element, depth: int) -> Any:
    """An element as text, or as its children by name; the outermost one stands for itself under its name."""
    if depth > 32:
        raise Invalid("The XML is nested too deeply.")
    children: dict[str, Any] = {child.tag.rsplit("}", 1)[-1]: _plain(child, depth + 1) for child in element}
    found: Any = children or (element.text or "").strip()
    return {element.tag.rsplit("}", 1)[-1]: found} if depth == 0 else found


def _at(data: Any, path: str) -> Any:
    """What stands at a dotted path; a number is a place in a list. Text without structure is itself."""
    if isinstance(data, str):
        return data
    for part in path.split("."):
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and part.isdecimal() and len(part) < 6 and int(part) < len(data):
            data = data[int(part)]
        else:
            return None
    return data


async def handoff_state(call: Call) -> Answer:
    parameters = call.request.path_params
    found = await call.services.handoffs.state(
        call.principal,
        parameters["account_id"],
        parameters["project_id"],
        id=call.query["id"],
        shared_id=call.query["shared_id"],
    )
    if found["shared_id"] is None:
        del found["shared_id"]
    return Answer(body=encode(HandoffState(**found)))


async def get_memory(call: Call) -> Answer:
    parameters = call.request.path_params
    fact = await call.services.memories.get(call.principal, parameters["agentId"], parameters["identifier"])
    return Answer(body=encode(memory(fact.body, fact.at)))


async def forget(call: Call) -> Answer:
    parameters = call.request.path_params
    await call.services.memories.forget(call.principal, parameters["agentId"], parameters["identifier"])
    return Answer(status=204, body=b"")


ROUTES = (
    Route(
        method="POST",
        path="/v1/external-events/webhook",
        handler=webhook,
        summary="Post data for an event that an agent's code has announced.",
        permission="write",
        takes_any_body=True,
        query=(
            Query(
                name="event_id_location",
                type="string",
                choices=LOCATIONS,
                is_required=True,
                description="headers, querystring or payload.",
            ),
            Query(
                name="event_id_path",
                type="string",
                may_be_empty=False,
                is_required=True,
                description="The id's name there; dotted within a payload.",
            ),
            Query(
                name="account_id",
                type="string",
                may_be_empty=False,
                is_required=True,
                description="The agent's account.",
            ),
            Query(name="project_id", type="string", may_be_empty=False, is_required=True, description="The agent."),
        ),
        response=EventReceivedResponse,
        status=201,
        errors=(400, 401, 403, 413),
    ),
    Route(
        method="GET",
        path="/v1/{account_id}/{project_id}/handoff_state",
        handler=handoff_state,
        summary="What an agent exposes of a conversation to whoever takes it over.",
        permission="read",
        query=(
            Query(name="id", type="string", description="The conversation's id."),
            Query(name="shared_id", type="string", description="An id that the agent shares with other systems."),
        ),
        response=HandoffState,
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET",
        path="/v1/agents/{agentId}/memory/{identifier}",
        handler=get_memory,
        summary="What is remembered of a caller.",
        permission="pii",
        response=MemoryResponse,
        errors=(401, 403, 404),
    ),
    Route(
        method="DELETE",
        path="/v1/agents/{agentId}/memory/{identifier}",
        handler=forget,
        summary="Forget a caller.",
        permission="write",
        status=204,
        errors=(401, 403, 404),
    ),
)
