"""Conversations as records: the summary of a list, and the detail with its turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vivavoce.domain.conversation import Closing, Conversation, Delivery, Turn
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
from vivavoce.wire.times import iso

LABELS = {"sip": "VOICE-SIP", "webchat": "WEBCHAT", "chat": "CHAT", "sms": "SMS", "rcs": "RCS", "whatsapp": "WHATSAPP"}


def channel_label(channel: str) -> str:
    return LABELS.get(channel.split(".")[0], channel.split(".")[0].upper())


def summary(conversation: Conversation) -> dict[str, Any]:
    until = conversation.finished_at or conversation.last_turn_at
    seconds = max(0, round((until - conversation.started_at).total_seconds()))
    return {
        "conversationId": conversation.id,
        "accountId": conversation.account_id,
        "projectId": conversation.agent_id,
        "createdAt": iso(conversation.started_at),
        "startedAt": iso(conversation.started_at),
        "finishedAt": iso(conversation.finished_at),
        "channel": channel_label(conversation.channel),
        "fromNumber": conversation.from_number,
        "toNumber": conversation.to_number,
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
        "tags": list(conversation.tags),
        "polyScore": None,
        "shortSummary": None,
        "deploymentId": conversation.deployment_id,
        "testGroup": conversation.test_group,
        "note": conversation.note,
        "audioUrl": None,
    }


def detail(
    conversation: Conversation, turns: Sequence[Turn], closing: Closing | None, deliveries: Sequence[Delivery] = ()
) -> dict[str, Any]:
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
        last = len(turns)
        for call in closing.calls:
            events.setdefault(str(last), []).append(function_event(call, conversation.id, last, sent))
    return {
        **summary(conversation),
        "turns": [_turn(turn, conversation, sent) for turn in turns],
        "metrics": metric_series(metrics),
        "functionEvents": events,
    }


def _turn(turn: Turn, conversation: Conversation, sent: Deliveries) -> dict[str, Any]:
    is_greeting = turn.index == 0
    has_flow = bool(turn.place_after.flow)
    silent = not is_greeting and turn.input.is_silence
    return {
        "turn_id": turn.index + 1,
        "user_input": turn.input.text,
        "user_input_datetime": iso(turn.started_at),
        "user_input_audio_url": "",
        "user_input_dtmf": turn.input.dtmf,
        "user_input_dtmf_finish_key": "",
        "agent_response": turn.reply,
        "agent_response_datetime": iso(turn.finished_at),
        "asr_lang_code": turn.asr_language,
        "tts_lang_code": turn.tts_language,
        "barge_in": False,
        "translated_user_input": "",
        "english_agent_response": "",
        "entities": None,
        "intents": None,
        "is_ood": not is_greeting and not silent and not turn.topics and not turn.calls and not has_flow,
        "is_silence": silent,
        "latency": {
            "perceived_latency": round((turn.finished_at - turn.started_at).total_seconds(), 6),
            "label": None,
            "perceived_latency_percentile_1d": None,
        },
        "llm_requests": [llm_request(exchange, conversation, turn) for exchange in turn.exchanges],
        "reviews": [],
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
            "cited_topic": turn.cited_topic,
            "handoff": handoff(turn),
            "retrieved_sources": list(dict.fromkeys(source for source, *_ in turn.sources)),
            "retrieved_passages": retrieved_passages(turn),
            "safety": {"filters_triggered": filters_triggered(turn.safety)},
            "fillers": [{"text": f.text, "at": f.at} for f in turn.fillers],
            "top_transcripts": [{"text": turn.input.text, "intents": []}] if turn.input.text else [],
            "stop_keywords": list(turn.stop_keywords),
            "notices": [{"code": notice.code, "message": notice.message} for notice in turn.notices],
            "variant": turn.variant,
        },
    }
