"""Conversations as records: the summary of a list, and the detail with its turns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from vivavoce.domain.call import Played, Spoken
from vivavoce.domain.conversation import Closing, Conversation, Delivery, Metric, Turn
from vivavoce.domain.record import Annotation, Grade, Listed, Review, Role
from vivavoce.wire import speech
from vivavoce.wire.functions import (
    Deliveries,
    extraction,
    filters_triggered,
    function_event,
    handoff,
    metric_series,
    retrieved_passages,
)
from vivavoce.wire.requests import llm_request
from vivavoce.wire.reviews import AnnotationResponse
from vivavoce.wire.times import Moment, iso

LABELS = {"sip": "VOICE-SIP", "webchat": "WEBCHAT", "chat": "CHAT", "sms": "SMS", "rcs": "RCS", "whatsapp": "WHATSAPP"}


def channel_label(channel: str) -> str:
    return LABELS.get(channel.split(".")[0], channel.split(".")[0].upper())


HIDDEN = "REDACTED"


class ShortSummary(Struct, frozen=True, kw_only=True):
    """`made_by` is a model's name, or "rules"."""

    heading: str
    content: str
    made_by: str = ""


class Score(Struct, frozen=True, kw_only=True):
    """How a score from 1 to 5 came about; without a value, `reason` says why there is none."""

    value: int | None = None
    agent_quality: Grade | None = None
    task_success: Grade | None = None
    reason: str = ""
    made_by: str = ""


class Match(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the words of a search stand. `turnId` counts from 0."""

    turn_id: int
    role: Role
    snippet: str


class ConversationSummaryResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """One conversation of a list. Durations are seconds."""

    conversation_id: str
    account_id: str
    project_id: str
    created_at: Moment | UnsetType = UNSET
    started_at: Moment | UnsetType = UNSET
    finished_at: Moment | None = None
    channel: str = ""
    from_number: str | None = None
    to_number: str | None = None
    language: str | None = None
    variant_id: str | None = None
    client_env: str = ""
    total_duration: int = 0
    polyai_duration: int = 0
    duration: int = 0
    in_progress: bool = False
    handoff: bool = False
    handoff_destination: str | None = None
    handoff_reason: str | None = None
    direction: str = ""
    tags: list[str] = []
    poly_score: float | None = None
    short_summary: ShortSummary | None = None
    deployment_id: str | None = None
    note: str | None = None
    audio_url: str | None = None
    test_group: str | None = None  # ours, as is all that follows
    end_reason: str | None = None
    score: Score | None = None
    matches: list[Match] | UnsetType = UNSET  # of a search by words


class GetConversationsResponse(Struct, frozen=True, kw_only=True):
    conversations: list[ConversationSummaryResponse]
    count: int
    limit: int
    offset: int
    cursor: str | None = None  # where the next page begins; None after the last


class Latency(Struct, frozen=True, kw_only=True):
    """`perceived_latency` in seconds."""

    perceived_latency: float | None = None
    label: str | None = None
    perceived_latency_percentile_1d: float | None = None


class TurnResponse(Struct, frozen=True, kw_only=True):
    """One turn of a detail: what was said, and in `metadata` and `llm_requests` how it came to be."""

    turn_id: int  # counts from 1
    turn_index: int = 0  # ours: as annotations count, from 0
    user_input: str
    user_input_datetime: Moment
    user_input_audio_url: str = ""
    user_input_dtmf: str = ""
    user_input_dtmf_finish_key: str = ""
    agent_response: str
    agent_response_datetime: Moment
    asr_lang_code: str = ""
    tts_lang_code: str = ""
    barge_in: bool = False
    translated_user_input: str = ""
    english_agent_response: str = ""
    entities: list[Any] | None = None
    intents: list[Any] | None = None
    is_ood: bool | None = None
    is_silence: bool | None = None
    latency: Latency
    llm_requests: list[dict[str, Any]] = []
    reviews: list[AnnotationResponse] = []
    metadata: dict[str, Any] = {}


class MetricValue(Struct, frozen=True, kw_only=True):
    timestamp: datetime  # UTC, sent without an offset
    value: str


class ConversationDetailResponse(ConversationSummaryResponse, frozen=True, kw_only=True, rename="camel"):
    """A conversation with its turns. The keys of `functionEvents` are turn numbers, from 1."""

    turns: list[TurnResponse]
    latency: dict[str, speech.Percentiles] | None = None  # ours: of a call, milliseconds by component
    metrics: dict[str, list[MetricValue]]
    function_events: dict[str, list[dict[str, Any]]]


def family(label: str) -> str | None:
    """The channel's own name for a label of it, in whatever spelling people use; None for no channel at all."""
    text = label.strip().casefold()
    known = {name.casefold(): key for key, name in LABELS.items()} | {key: key for key in LABELS} | {"voice": "sip"}
    return known.get(text) or known.get(text.split(".")[0])


def numbers(conversation: Conversation, *, is_personal_shown: bool) -> tuple[str | None, str | None]:
    """(from, to). The customer's is hidden from whoever may not see personal data; the agent's own stays."""
    from_number, to_number = conversation.from_number, conversation.to_number
    if is_personal_shown:
        return from_number, to_number
    if conversation.direction == "outbound":
        return from_number, HIDDEN if to_number else to_number
    return HIDDEN if from_number else from_number, to_number


def summary(listed: Listed, *, is_personal_shown: bool = True) -> dict[str, Any]:
    conversation, review = listed.conversation, listed.review
    seconds = conversation.seconds
    from_number, to_number = numbers(conversation, is_personal_shown=is_personal_shown)
    return {
        "conversationId": conversation.id,
        "accountId": conversation.account_id,
        "projectId": conversation.agent_id,
        "createdAt": iso(conversation.started_at),
        "startedAt": iso(conversation.started_at),
        "finishedAt": iso(conversation.finished_at),
        "channel": channel_label(conversation.channel),
        "fromNumber": from_number,
        "toNumber": to_number,
        "language": conversation.language or None,
        "variantId": conversation.variant,
        "clientEnv": conversation.environment,
        "totalDuration": seconds,
        "polyaiDuration": seconds,
        "duration": seconds,
        "inProgress": not conversation.is_ended,
        "handoff": conversation.is_handoff,
        "handoffDestination": conversation.handoff_destination,
        "handoffReason": conversation.handoff_reason,
        "direction": conversation.direction,
        "tags": list(review.tags),
        "polyScore": review.score.value if review.score is not None else None,
        "shortSummary": short_summary(review),
        "deploymentId": conversation.deployment_id,
        "note": review.note.text if review.note is not None else None,
        "audioUrl": f"conversations/{conversation.id}/audio"
        if conversation.is_recorded and conversation.is_ended
        else None,
        "testGroup": conversation.test_group,  # ours, as is all that follows
        "endReason": conversation.end_reason,
        "score": score(review),
    }


def short_summary(review: Review) -> dict[str, str] | None:
    found = review.summary
    return {"heading": found.heading, "content": found.content, "made_by": found.made_by} if found is not None else None


def score(review: Review) -> dict[str, Any] | None:
    """How the score came about, or why there is none."""
    found = review.score
    if found is None:
        return None
    return {
        "value": found.value,
        "agent_quality": found.agent_quality,
        "task_success": found.task_success,
        "reason": found.reason,
        "made_by": found.made_by,
    }


def detail(
    listed: Listed,
    turns: Sequence[Turn],
    closing: Closing | None,
    deliveries: Sequence[Delivery] = (),
    *,
    is_personal_shown: bool = True,
    has_requests: bool = True,
) -> dict[str, Any]:
    conversation = listed.conversation
    sent = {delivery.message_id: delivery for delivery in deliveries}
    metrics = [metric for turn in turns for metric in turn.metrics]
    events: dict[str, list[dict[str, Any]]] = {}
    for turn in turns:
        if turn.calls:
            events[str(turn.index + 1)] = [
                function_event(call, conversation.id, turn.index + 1, sent) for call in turn.calls
            ]
    if closing is not None:
        metrics += closing.metrics
        last = conversation.turns
        for call in closing.calls:
            events.setdefault(str(last), []).append(function_event(call, conversation.id, last, sent))
    reviews: dict[int, list[dict[str, Any]]] = {}
    for annotation in listed.review.annotations:
        reviews.setdefault(annotation.turn, []).append(annotation_item(annotation))
    return {
        **summary(listed, is_personal_shown=is_personal_shown),
        "turns": [
            _turn(
                turn,
                conversation,
                sent,
                reviews.get(turn.index, []),
                is_personal_shown=is_personal_shown,
                has_requests=has_requests,
            )
            for turn in turns
        ],
        "latency": speech.percentiles(turns),
        "metrics": metric_series([*metrics, *standard_metrics(conversation, metrics)]),
        "functionEvents": events,
    }


def annotation_item(annotation: Annotation) -> dict[str, Any]:
    return {
        "id": annotation.id,
        "turnId": annotation.turn,
        "role": annotation.role,
        "annotationType": annotation.type,
        "reasons": list(annotation.reasons),
        "text": annotation.text,
        "author": annotation.author,
        "createdAt": iso(annotation.at),
    }


def standard_metrics(conversation: Conversation, written: Sequence[Metric]) -> list[Metric]:
    """The metrics that every conversation has, unless author code has written them itself."""
    known = {metric.name for metric in written}
    ended = conversation.finished_at
    values: dict[str, object] = {"VARIANT_ID": conversation.variant or "", "TOTAL_AGENT_TURNS": conversation.turns}
    if ended is not None:
        values |= {"CALL_COMPLETED": True, "CALL_DURATION": conversation.seconds}
        if conversation.is_handoff:
            values["HANDOFF_TO"] = conversation.handoff_destination or ""
            values["HANDOFF_REASON"] = conversation.handoff_reason or ""
    else:
        values["CALL_IN_PROGRESS"] = True
    at = ended or conversation.last_turn_at
    return [Metric(name=name, value=value, at=at) for name, value in values.items() if name not in known]


def audio_url(turn: Turn, conversation: Conversation) -> str:
    """Where what the caller said can be heard; "" where nothing can."""
    spoken = turn.input.spoken
    is_there = conversation.is_recorded and conversation.is_ended and spoken is not None and spoken.end > spoken.start
    return f"conversations/{conversation.id}/turns/{turn.index}/audio" if is_there else ""


def timings(turn: Turn) -> dict[str, float]:
    """Milliseconds from the arrival of the input; `retrieval`, `model` and `functions` are parts of `total`."""
    found = turn.timings
    return {
        "retrieval": found.retrieval,
        "model": found.model,
        "functions": found.functions,
        "total": found.total,
    }


def timeline(turn: Turn) -> list[dict[str, Any]]:
    """What took time in a turn, in order: `start` and `duration` in milliseconds, `start` from the beginning of the turn."""

    def since(moment: datetime) -> float:
        return round(max(0.0, (moment - turn.started_at).total_seconds() * 1000), 3)

    found: list[dict[str, Any]] = []
    if turn.timings.retrieval:
        entry = {"kind": "retrieval", "name": "retrieval", "start": 0.0, "duration": turn.timings.retrieval}
        found.append(entry)
    for exchange in turn.exchanges:
        start, reply = since(exchange.started_at), exchange.reply
        found.append(
            {
                "kind": "model",
                "name": (reply.model if reply is not None else "") or exchange.request.model or "model",
                "id": exchange.id,
                "purpose": exchange.purpose,
                "start": start,
                "duration": round(since(exchange.finished_at) - start, 3),
                "first_text": since(exchange.first_text_at) if exchange.first_text_at is not None else None,
                "prompt_tokens": reply.prompt_tokens if reply is not None else 0,
                "completion_tokens": reply.completion_tokens if reply is not None else 0,
                "cached_tokens": reply.cached_tokens if reply is not None else 0,
                "error": exchange.error,
            }
        )
    for call in turn.calls:
        entry = {"kind": "function", "name": call.name, "id": call.id, "start": since(call.started_at)}
        found.append({**entry, "duration": round(call.duration_ms, 3), "error": call.error})
    return sorted(found, key=lambda entry: entry["start"])


def _turn(
    turn: Turn,
    conversation: Conversation,
    sent: Deliveries,
    reviews: list[dict[str, Any]],
    *,
    is_personal_shown: bool,
    has_requests: bool,
) -> dict[str, Any]:
    spoken, played = turn.input.spoken or Spoken(), turn.played or Played()
    took = (turn.finished_at - turn.started_at).total_seconds()
    has_flow = bool(turn.place_after.flow)
    return {
        "turn_id": turn.index + 1,
        "turn_index": turn.index,
        "user_input": turn.input.text,
        "user_input_datetime": iso(turn.started_at),
        "user_input_audio_url": audio_url(turn, conversation),
        "user_input_dtmf": turn.input.shown_dtmf,
        "user_input_dtmf_finish_key": spoken.end_key,
        "agent_response": turn.reply,
        "agent_response_datetime": iso(turn.finished_at),
        "asr_lang_code": turn.asr_language,
        "tts_lang_code": turn.tts_language,
        "barge_in": spoken.is_barge_in,
        "translated_user_input": "",
        "english_agent_response": "",
        "entities": None,
        "intents": None,
        "is_ood": turn.is_out_of_domain,
        "is_silence": turn.index > 0 and turn.input.is_silence,
        "latency": {
            "perceived_latency": round(took if played.perceived is None else played.perceived / 1000, 6),
            "label": None,
            "perceived_latency_percentile_1d": None,
        },
        "llm_requests": [llm_request(exchange, conversation, turn) for exchange in turn.exchanges]
        if has_requests
        else [],
        "reviews": reviews,
        "metadata": {
            "asr_corrected_user_input": turn.input.text if turn.corrected is None else turn.corrected,
            "transcript_corrections": list(turn.corrections),
            "current_node": turn.place_after.node if has_flow else "",
            "node_trace": list(turn.node_trace),
            "in_flow": turn.place_after.flow,
            "in_step": turn.place_after.step,
            "entities": [extraction(e) for e in turn.extractions],
            "function_events": [function_event(call, conversation.id, turn.index + 1, sent) for call in turn.calls],
            "retrieved_topics": [name for name, _ in turn.topics],
            "topic_distances": dict(turn.topics),
            "cited_topic": turn.cited_topic,
            "handoff": handoff(turn),
            "retrieved_sources": list(dict.fromkeys(source for source, *_ in turn.sources)),
            "retrieved_passages": retrieved_passages(turn),
            "safety": {"filters_triggered": filters_triggered(turn.safety)},
            "fillers": [{"text": f.text, "at": f.at} for f in turn.fillers],
            "top_transcripts": [
                {"text": text, "intents": []} for text in spoken.alternatives or (turn.input.text,) if text
            ],
            "speech": speech.of_turn(turn, is_personal_shown=is_personal_shown),
            "stop_keywords": list(turn.stop_keywords),
            "notices": [{"code": notice.code, "message": notice.message} for notice in turn.notices],
            "variant": turn.variant,
            "timings": timings(turn),
            "timeline": timeline(turn),
        },
    }
