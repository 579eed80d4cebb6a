"""Which tools the model sees, and how its call of one becomes a call of author code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from vivavoce.domain.agent import Agent, Function, Parameter
from vivavoce.domain.conversation import Place, Tool
from vivavoce.engine.prepared import Prepared
from vivavoce.errors import NOT_JSON

Expose: TypeAlias = Callable[[str, str], None]

HANDOFF_TOOL = "builtin_handoff"
SMS_TOOL = "send_sms_template"
LANGUAGE_TOOL = "switch_language"
_ZERO: dict[str, Any] = {"string": "", "integer": 0, "number": 0.0, "boolean": False}
_DEFAULT_SUFFIX = "_global"
LARGEST = 2**63  # beyond it a number is no longer one for the wire, and no sensible argument
MAX_DEPTH = 32
MAX_VISIBLE = 1024  # combinations of references whose tools are remembered


def visible(
    prepared: Prepared,
    mentioned: tuple[tuple[str, str], ...],
    place: Place,
    clashes: frozenset[str],
    own: tuple[Tool, ...] = (),
) -> tuple[Tool, ...]:
    """The step's own tools, then one for each thing mentioned, once, in order; what does not exist is left out."""
    key = (mentioned, place.flow, place.step if own else None, clashes)
    known = prepared.visible.get(key)
    if known is None:
        if len(prepared.visible) >= MAX_VISIBLE:
            prepared.visible.clear()
        known = prepared.visible[key] = (*own, *_visible(prepared, mentioned, place.flow, clashes))
    return known


def _visible(
    prepared: Prepared, mentioned: tuple[tuple[str, str], ...], flow: str | None, clashes: frozenset[str]
) -> tuple[Tool, ...]:
    agent = prepared.agent
    found: dict[str, Tool] = {}
    handoffs: list[str] = []
    templates: list[str] = []
    for kind, name in mentioned:
        if kind == "ft":
            function = agent.flow_functions.get(flow or "", {}).get(name)
            if function is not None:
                found[name] = prepared.tool(function)
        elif kind == "fn":
            function = agent.functions.get(name)
            if function is not None and function.kind == "global":
                shown = name + _DEFAULT_SUFFIX if name in clashes else name
                found.setdefault(shown, prepared.tool(function, name=shown))
        elif kind == "ho" and name in agent.handoffs:
            handoffs.append(name)
        elif kind == "twilio_sms" and name in agent.sms_templates:
            templates.append(name)
    if handoffs:
        found[HANDOFF_TOOL] = _handoff_tool(agent, list(dict.fromkeys(handoffs)))
    if templates:
        found[SMS_TOOL] = _sms_tool(list(dict.fromkeys(templates)))
    if agent.languages.additional:
        found[LANGUAGE_TOOL] = _language_tool(agent)
    return tuple(found.values())


def resolve(agent: Agent, name: str, flow: str | None, clashes: frozenset[str] = frozenset()) -> Function | None:
    """The function behind a visible tool's name."""
    if name.endswith(_DEFAULT_SUFFIX) and name.removesuffix(_DEFAULT_SUFFIX) in clashes:
        return agent.functions.get(name.removesuffix(_DEFAULT_SUFFIX))
    return agent.function(name, flow=flow)


def _object(properties: dict[str, dict[str, Any]], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _handoff_tool(agent: Agent, names: list[str]) -> Tool:
    described = "; ".join(f"{n}: {agent.handoffs[n].description}" for n in names if agent.handoffs[n].description)
    return Tool(
        name=HANDOFF_TOOL,
        description="Hands the conversation over to a person or another system.",
        schema=_object(
            {
                "handoff_destination": {
                    "type": "string",
                    "enum": names,
                    "description": f"Where to. {described}".strip(),
                },
                "reason": {"type": "string", "description": "Why, in a few words."},
                "utterance": {"type": "string", "description": "What to say to the user before the handoff."},
            },
            ["handoff_destination", "reason", "utterance"],
        ),
        reference="polyai_handoff",
    )


def _sms_tool(names: list[str]) -> Tool:
    return Tool(
        name=SMS_TOOL,
        description="Sends one of the prepared text messages to the user.",
        schema=_object(
            {
                "template": {"type": "string", "enum": names, "description": "Which message."},
                "to_number": {
                    "type": "string",
                    "description": 'The number to send it to; "" for the number they call from.',
                },
            },
            ["template", "to_number"],
        ),
        reference=SMS_TOOL,
    )


def _language_tool(agent: Agent) -> Tool:
    return Tool(
        name=LANGUAGE_TOOL,
        description="Changes the language of the conversation, when the user asks for another one.",
        schema=_object(
            {"language": {"type": "string", "enum": list(agent.languages.all), "description": "The new language."}},
            ["language"],
        ),
        reference=LANGUAGE_TOOL,
    )


def arguments(text: str, parameters: tuple[Parameter, ...]) -> tuple[dict[str, Any], str | None]:
    """A model's JSON as typed arguments, or what is wrong with it. Missing ones get the zero of their type."""
    try:
        given = msgspec.json.decode(text) if text.strip() else {}
    except NOT_JSON:
        return {}, "The arguments are not valid JSON. Call the function again with a JSON object."
    if not isinstance(given, dict):
        return {}, "The arguments are not a JSON object. Call the function again with one."
    if not is_plain(given):
        return {}, "The arguments are out of all proportion. Call the function again with sensible ones."
    return {p.name: _coerced(given.get(p.name), p) for p in parameters}, None


def is_plain(value: Any, depth: int = 0) -> bool:
    """True for data of sensible depth whose numbers fit into 64 bits."""
    if isinstance(value, dict):
        return depth < MAX_DEPTH and all(is_plain(v, depth + 1) for v in value.values())
    if isinstance(value, list):
        return depth < MAX_DEPTH and all(is_plain(v, depth + 1) for v in value)
    return not isinstance(value, int) or -LARGEST <= value < LARGEST


def _coerced(value: Any, parameter: Parameter) -> Any:
    if value is None:
        return _ZERO[parameter.type]
    match parameter.type:
        case "string":
            if isinstance(value, str):
                return value
            return msgspec.json.encode(value).decode() if isinstance(value, (dict, list, bool)) else str(value)
        case "integer":
            number = _number(value)
            return value if number is None else int(number)
        case "number":
            number = _number(value)
            return value if number is None else float(number)
        case "boolean":
            if isinstance(value, str) and value.strip().lower() in ("true", "yes", "1", "false", "no", "0", ""):
                return value.strip().lower() in ("true", "yes", "1")
            return bool(value) if isinstance(value, (bool, int, float)) else value


def _number(value: Any) -> float | int | None:
    """None when the value is no finite number: author code then sees what the model sent."""
    if isinstance(value, (bool, int)):
        return int(value) if abs(value) < LARGEST else None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if found != found or found in (float("inf"), float("-inf")):
        return None
    return int(found) if found.is_integer() and abs(found) < LARGEST else found if abs(found) < LARGEST else None
