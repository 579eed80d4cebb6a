"""Passing the conversation on: to whom, and by which way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from vivavoce.domain.conversation import HandoffRequest

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft


def hand_off(draft: Draft, handoff: HandoffRequest) -> None:
    """Ends our part of the conversation. `handoff` has been routed."""
    draft.handoff = handoff
    if handoff.is_transfer:
        draft.visit(f"handoff:{handoff.destination}")
        draft.end("handoff")
    else:
        draft.end("hangup")


def routed(draft: Draft, handoff: HandoffRequest) -> HandoffRequest:
    """To whom `default` is, by the configured way where author code gave none, with the values in its headers."""
    if handoff.destination.lower() in ("", "default") and handoff.is_transfer:
        name = next((h.name for h in draft.agent.handoffs.values() if h.is_default), handoff.destination or "default")
        handoff = replace(handoff, destination=name)
    configured = draft.agent.handoffs.get(handoff.destination)
    route = dict(handoff.route)
    if configured is not None and not route:
        block: dict[str, Any] = {
            "phone_number": configured.phone_number,
            "outbound_endpoint": configured.outbound_endpoint,
            "outbound_encryption": configured.outbound_encryption,
        }
        block = {key: value for key, value in block.items() if value}
        if configured.sip_headers:
            block["sip_headers"] = configured.sip_headers
        route = {configured.method: block}
    renderer = draft.renderer()
    for method, block in route.items():
        headers = block.get("sip_headers")
        if isinstance(headers, dict):
            shown = {str(k): renderer.function_result(str(v)) for k, v in headers.items()}
            route[method] = {**block, "sip_headers": shown}
    return replace(handoff, route=route)
