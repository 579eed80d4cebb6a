"""Conversations as versions 1 and 3 of the list write them: snake_case, whole transcripts, metrics as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vivavoce.domain.conversation import Conversation, Metric
from vivavoce.domain.record import Listed, Transcript, TranscriptTurn
from vivavoce.wire.conversations import channel_label, numbers, standard_metrics
from vivavoce.wire.times import iso


def conversation(
    listed: Listed, transcript: Transcript, *, is_personal_shown: bool, has_latency: bool = False
) -> dict[str, Any]:
    head = listed.conversation
    from_number, to_number = numbers(head, is_personal_shown=is_personal_shown)
    found = {
        "id": head.id,
        "account_id": head.account_id,
        "project_id": head.agent_id,
        "variant_id": head.variant or "",
        "variant_name": head.variant or "",
        "environment": head.environment,
        "started_at": iso(head.started_at),
        "channel": channel_label(head.channel),
        "from_number": from_number or "",
        "to_number": to_number or "",
        "in_progress": not head.is_ended,
        "num_turns": head.turns,
        "total_duration": head.seconds,
        "polyai_duration": head.seconds,
        "handoff": head.is_handoff,
        "num_silences": sum(turn.is_silence for turn in transcript.turns),
        "num_ood": sum(turn.is_out_of_domain for turn in transcript.turns),
        "metrics": metrics(head, transcript),
        "state": {
            **transcript.state,
            "from_": from_number or "",
            "to": to_number or "",
            "call_sid": head.id,
        },
        "turns": [_turn(turn, has_latency=has_latency) for turn in transcript.turns],
    }
    if head.handoff_reason:
        found["handoff_reason"] = head.handoff_reason
    if head.handoff_destination:
        found["handoff_destination"] = head.handoff_destination
    return found


def metrics(head: Conversation, transcript: Transcript) -> dict[str, str | list[str]]:
    """name -> text; a list of them where it was written more than once."""
    written: Sequence[Metric] = [
        *(metric for turn in transcript.turns for metric in turn.metrics),
        *transcript.closing_metrics,
    ]
    found: dict[str, list[str]] = {}
    for metric in (*written, *standard_metrics(head, written)):
        found.setdefault(metric.name, []).append(metric.text)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _turn(turn: TranscriptTurn, *, has_latency: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "user_input": turn.text,
        "user_input_dtmf": turn.dtmf,
        "user_input_datetime": iso(turn.started_at),
        "agent_response": turn.reply,
        "agent_response_datetime": iso(turn.finished_at),
        "translated_user_input": "",
        "english_agent_response": "",
        "intents": [],
        "entities": [],
        "is_ood": turn.is_out_of_domain,
        "is_silence": turn.is_silence,
        "barge_in": False,
    }
    if has_latency:
        found["latency"] = round((turn.finished_at - turn.started_at).total_seconds(), 6)
    return found
