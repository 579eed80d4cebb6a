"""Our own tools: handing over, sending a prepared message, changing the language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from vivavoce.domain.agent import SmsTemplate
from vivavoce.domain.conversation import FunctionCall, HandoffRequest, ModelRequest, OutgoingMessage, ToolCall
from vivavoce.engine import handing_over, tools
from vivavoce.engine.effects import Effect
from vivavoce.errors import NOT_JSON

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft


def run(draft: Draft, call: ToolCall, request: ModelRequest) -> Effect:
    """Our own tools: handing over, sending a prepared message, changing the language."""
    try:
        given = msgspec.json.decode(call.arguments or "{}")
    except NOT_JSON:
        given = None
    if not isinstance(given, dict):
        return Effect(content="The arguments are not a JSON object. Call the function again with one.")
    tool = next(t for t in request.tools if t.name == call.name)
    for name, schema in tool.schema["properties"].items():
        if "enum" in schema and given.get(name) not in schema["enum"]:
            return Effect(content=f"{name} must be one of: {', '.join(schema['enum'])}.")
    draft.visit(f"function:{call.name}")
    if call.name == tools.LANGUAGE_TOOL:
        draft.set_languages(given["language"], given["language"])
        return Effect(content=f"The conversation is now in {given['language']}. Answer in it.")
    if call.name == tools.SMS_TOOL:
        return _send_template(draft, given)
    effect = Effect(
        utterance=str(given.get("utterance") or ""),
        handoff=handing_over.routed(
            draft,
            HandoffRequest(destination=given["handoff_destination"], reason=str(given.get("reason") or "")),
        ),
    )
    draft.speak(effect)
    return effect


def _send_template(draft: Draft, given: dict[str, Any]) -> Effect:
    template = draft.agent.sms_templates[given["template"]]
    to = str(given.get("to_number") or draft.session.conversation.from_number or "")
    if not to:
        return Effect(content="There is no number to send it to. Ask the user for one.")
    sent = OutgoingMessage(
        id=draft.ports.random.uuid(),
        kind="sms",
        to=to,
        sender=_sender(template, draft.session.conversation.environment),
        content=draft.renderer().render(template.text).text,
        template=template.name,
    )
    draft.calls.append(
        FunctionCall(
            id=draft.ports.random.uuid(),
            name=tools.SMS_TOOL,
            kind="global",
            module=tools.SMS_TOOL,
            arguments=given,
            place=draft.place,
            started_at=draft.ports.clock.now(),
            content="queued",
            messages=(sent,),
        )
    )
    return Effect(content="The message is on its way.")


def _sender(template: SmsTemplate, environment: str) -> str:
    """The environment's number; a draft has the sandbox's, and whoever has none the live one."""
    own = template.senders.get("sandbox" if environment == "draft" else environment)
    return own or template.senders.get("live", "")
