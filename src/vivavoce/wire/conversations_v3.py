"""Conversations as versions 1 and 3 of the list write them: snake_case, whole transcripts, metrics as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from vivavoce.domain.conversation import Conversation, Metric
from vivavoce.domain.record import Listed, Transcript, TranscriptTurn
from vivavoce.wire.conversations import channel_label, numbers, standard_metrics
from vivavoce.wire.times import Moment, iso


class ConversationTurn(Struct, frozen=True, kw_only=True):
    """`latency` in seconds, where it was asked for."""

    user_input: str = ""
    user_input_dtmf: str = ""
    user_input_datetime: Moment | UnsetType = UNSET
    agent_response: str = ""
    agent_response_datetime: Moment | UnsetType = UNSET
    translated_user_input: str = ""
    english_agent_response: str = ""
    intents: list[str] = []
    entities: list[dict[str, Any]] = []
    is_ood: bool = False
    is_silence: bool = False
    barge_in: bool = False
    latency: float | UnsetType = UNSET


class ConversationV3(Struct, frozen=True, kw_only=True):
    """A conversation with its transcript. Durations are seconds."""

    id: str
    account_id: str
    project_id: str
    variant_id: str = ""
    variant_name: str = ""
    environment: str
    started_at: Moment
    channel: str
    from_number: str = ""
    to_number: str = ""
    in_progress: bool
    num_turns: int = 0
    total_duration: int = 0
    polyai_duration: int = 0
    handoff: bool = False
    handoff_reason: str = ""
    handoff_destination: str = ""
    num_silences: int = 0
    num_ood: int = 0
    metrics: dict[str, str | Annotated[list[str], Meta(min_length=2)]] = {}
    state: dict[str, Any] = {}
    turns: list[ConversationTurn] = []


class GetConversationsV3Response(Struct, frozen=True, kw_only=True):
    conversations: list[ConversationV3]
    next_offset: int | UnsetType = UNSET
    cursor: str | None = None


class Descriptions(Struct, frozen=True, kw_only=True):
    conversations: dict[str, Any] = {}


class GetConversationsV1Response(Struct, frozen=True, kw_only=True):
    conversations: list[ConversationV3]
    next_offset: int | UnsetType = UNSET
    descriptions: Descriptions = Descriptions()


class Interval(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many conversations went on at once, at most, in the five minutes from `time` on."""

    time: Moment
    max_concurrent_conversations: int
    variant_id: str = ""
    variant_name: str = ""
    language: str = ""
    phone_number: str = ""


class ConcurrencyResponse(Struct, frozen=True, kw_only=True):
    account_id: str
    project_id: str
    intervals: list[Interval]


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
        "user_input_dtmf": turn.shown_dtmf,
        "user_input_datetime": iso(turn.started_at),
        "agent_response": turn.reply,
        "agent_response_datetime": iso(turn.finished_at),
        "translated_user_input": "",
        "english_agent_response": "",
        "intents": [],
        "entities": [],
        "is_ood": turn.is_out_of_domain,
        "is_silence": turn.is_silence,
        "barge_in": turn.is_barge_in,
    }
    if has_latency:
        took = (turn.finished_at - turn.started_at).total_seconds()
        found["latency"] = round(took if turn.perceived is None else turn.perceived / 1000, 6)
    return found
