"""functionEvents: one item for each run of an author function. Keys are snake_case in every spelling of the API."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from vivavoce.domain.conversation import (
    SENT_KINDS,
    Delivery,
    Extraction,
    FunctionCall,
    LogEntry,
    Metric,
    OutgoingMessage,
    SafetyFinding,
    Turn,
)
from vivavoce.wire.times import iso, iso_naive, rfc1123

Deliveries: TypeAlias = Mapping[str, Delivery]  # by message id


def function_event(
    call: FunctionCall, conversation_id: str, turn_number: int, deliveries: Deliveries = MappingProxyType({})
) -> dict[str, Any]:
    """`turn_number` counts from 1, as the keys of functionEvents do."""
    changes = call.state_changes
    return {
        "id": call.id,
        "conversation_id": conversation_id,
        "turn_id": turn_number,
        "name": call.name,
        "function_id": call.module,
        "function_version": None,
        "arguments": call.arguments,
        "start_time": rfc1123(call.started_at),
        "duration": call.duration_ms,
        "llm_request_id": call.exchange_id,
        "utterance": call.utterance,
        "content": call.content,
        "hangup": True if call.hangup else None,
        "handoff": {"reason": call.handoff.reason, "type": call.handoff.destination, **call.handoff.route}
        if call.handoff
        else None,
        "transition": {
            "goto_flow": call.transition.goto_flow,
            "goto_step": call.transition.goto_step,
            "exit_flow": call.transition.exit_flow,
        }
        if call.transition
        else None,
        "state_changes": {"added": changes.added, "updated": changes.updated, "removed": list(changes.removed)}
        if changes
        else None,
        "variant_id_change": call.variant,
        "error": call.error,
        "logs": logs(call.logs),
        "end_turn": call.end_turn,
        "listen": call.listen,
        "flow": call.place.flow,
        "step": call.place.step,
        "metrics": [{"name": m.name, "value": m.value} for m in call.metrics],
        "delay_responses": [{"text": i.text, "at": i.at} for i in call.interims],
        "messages": [_message(m, deliveries.get(m.id)) for m in call.messages],
        "exchanges": [
            {"kind": e.kind, "request": e.request, "answer": e.answer, "error": e.error} for e in call.exchanges
        ],
    }


def _message(message: OutgoingMessage, delivery: Delivery | None) -> dict[str, Any]:
    return {
        **message.fields,
        "id": message.id,
        "kind": message.kind,
        "to": message.to,
        "from": message.sender,
        "content": message.content,
        "template": message.template,
        "delivery": _delivery(message, delivery),
    }


def filters_triggered(findings: tuple[SafetyFinding, ...]) -> dict[str, Any]:
    """What the safety filters found, by side; empty when nothing was."""
    found: dict[str, Any] = {}
    for finding in findings:
        found.setdefault("provider", finding.classifier)
        side = found.setdefault("user_input" if finding.side == "input" else "agent_response", {})
        side[finding.category] = {"severity": finding.severity, "blocked": finding.is_blocked}
    return found


def _delivery(message: OutgoingMessage, delivery: Delivery | None) -> dict[str, Any] | None:
    """What has become of a message; None for what is not sent anywhere, attachments and their kin."""
    if delivery is None:
        return {"status": "waiting", "attempts": 0} if message.kind in SENT_KINDS else None
    return {
        "status": delivery.status,
        "provider": delivery.provider,
        "provider_id": delivery.provider_id,
        "attempts": delivery.attempts,
        "at": iso(delivery.at),
        "error": delivery.error,
    }


def handoff(turn: Turn) -> dict[str, Any] | None:
    """Where the conversation was handed to, why, and by which way."""
    if turn.handoff is None:
        return None
    return {"type": turn.handoff.destination, "reason": turn.handoff.reason, **turn.handoff.route}


def retrieved_passages(turn: Turn) -> list[dict[str, Any]]:
    """The passages of connected sources, with their text as the model was given it."""
    texts = {(p.source, p.start): p.text.text for e in turn.exchanges for p in e.request.passages}
    return [
        {"source": source, "start": start, "end": end, "distance": distance, "text": texts.get((source, start), "")}
        for source, start, end, distance in turn.sources
    ]


def extraction(found: Extraction) -> dict[str, Any]:
    """One attempt to save an entity."""
    return {
        "name": found.name,
        "heard": found.heard,
        "valid": found.error is None,
        "value": found.value,
        "error": found.error,
    }


def logs(entries: tuple[LogEntry, ...]) -> dict[str, list[dict[str, Any]]] | None:
    """By logger, in order of time."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        found.setdefault(entry.logger, []).append(
            {
                **entry.fields,
                "level": entry.level,
                "content": entry.content,
                "is_pii": entry.is_pii,
                "timestamp": iso(entry.at),
                "logger": entry.logger,
            }
        )
    return found or None


def metric_map(metrics: list[tuple[str, Any]]) -> dict[str, Any]:
    """name -> value; a name written more than once has a list."""
    found: dict[str, list[Any]] = {}
    for name, value in metrics:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def metric_series(metrics: list[Metric]) -> dict[str, list[dict[str, str]]]:
    """name -> [{timestamp, value}], every value as text."""
    found: dict[str, list[dict[str, str]]] = {}
    for metric in metrics:
        found.setdefault(metric.name, []).append({"timestamp": iso_naive(metric.at), "value": metric.text})
    return found
