"""Debug chat: the bodies that open and continue a conversation, and the reply with its trace."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from vivavoce.domain.conversation import Conversation, Snapshot, Turn
from vivavoce.wire.functions import (
    extraction,
    filters_triggered,
    function_event,
    handoff,
    metric_map,
    retrieved_passages,
)
from vivavoce.wire.requests import llm_request

_encode = msgspec.json.Encoder().encode


class OpeningBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a conversation begins, by text or by voice."""

    client_env: str
    asr_lang_code: str | None = None
    tts_lang_code: str | None = None
    conversation_id: str | None = None
    variant_id: str | None = None
    integration_attributes: dict[str, Any] | None = None
    caller_number: str | None = None  # ours, as are the next two
    callee_number: str | None = None
    sip_headers: dict[str, str] | None = None


class CreateDebugChatBody(OpeningBody, frozen=True, kw_only=True, rename="camel"):
    channel: str | None = None
    simulated_at: str | None = None  # ours


class RespondDebugChatBody(Struct, frozen=True, kw_only=True, rename="camel"):
    client_env: str
    asr_lang_code: str | None = None
    tts_lang_code: str | None = None
    message: str = ""
    metadata: dict[str, Any] | None = None


class ChatMetadataResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    state: dict[str, Any]
    current_node: str
    node_trace: tuple[str, ...]
    metrics: dict[str, Any]
    function_events: list[dict[str, Any]]
    handoff_destination: str
    retrieved_topics: list[str]
    retrieved_sources: list[str]
    cited_topic: str
    in_flow: str
    in_step: str
    llm_requests: list[dict[str, Any]]
    asr_lang_code: str
    tts_lang_code: str
    asr_corrected_user_input: str  # ours, as is all that follows
    handoff: dict[str, Any] | None
    retrieved_passages: list[dict[str, Any]]
    safety: dict[str, Any]
    attachments: list[dict[str, Any]]
    response_suggestions: list[dict[str, Any]]
    chat_call_actions: list[dict[str, Any]]
    fillers: list[dict[str, Any]]
    entities: list[dict[str, Any]]
    notices: list[dict[str, str]]
    timings: dict[str, float]
    turn_index: int
    agent_response_audio_url: str | UnsetType = UNSET  # where there is a voice to speak with


class DebugChatResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    conversation_id: str
    user_input: str
    response: str
    metadata: ChatMetadataResponse
    conversation_ended: bool
    delayed_response: bool


def debug_chat(
    conversation: Conversation,
    turn: Turn,
    snapshot: Snapshot,
    metrics: list[tuple[str, Any]],
    *,
    audio_url: str | None = None,
) -> DebugChatResponse:
    """`metrics` are all that were written so far, this turn's included."""
    place = turn.place_after
    timings = turn.timings
    return DebugChatResponse(
        conversation_id=conversation.id,
        user_input=turn.input.text or turn.input.shown_dtmf,
        response=turn.reply,
        metadata=ChatMetadataResponse(
            state=snapshot.view,
            current_node=place.node if place.flow else "",
            node_trace=turn.node_trace,
            metrics=metric_map(metrics),
            function_events=[function_event(call, conversation.id, turn.index + 1) for call in turn.calls],
            handoff_destination=turn.handoff.destination if turn.handoff else "",
            retrieved_topics=[name for name, _ in turn.topics],
            retrieved_sources=list(dict.fromkeys(source for source, *_ in turn.sources)),
            cited_topic=turn.cited_topic,
            in_flow=place.flow or "",
            in_step=place.step or "",
            llm_requests=[llm_request(exchange, conversation, turn) for exchange in turn.exchanges],
            asr_lang_code=turn.asr_language,
            tts_lang_code=turn.tts_language,
            asr_corrected_user_input=turn.input.text if turn.corrected is None else turn.corrected,
            handoff=handoff(turn),
            retrieved_passages=retrieved_passages(turn),
            attachments=_things(turn, "attachment"),
            response_suggestions=_things(turn, "response_suggestion"),
            chat_call_actions=_things(turn, "call_action"),
            safety={"filters_triggered": filters_triggered(turn.safety)},
            fillers=[{"text": f.text, "at": f.at} for f in turn.fillers],
            entities=[extraction(e) for e in turn.extractions],
            notices=[{"code": notice.code, "message": notice.message} for notice in turn.notices],
            timings={
                "retrieval": timings.retrieval,
                "model": timings.model,
                "functions": timings.functions,
                "total": timings.total,
            },
            turn_index=turn.index,
            agent_response_audio_url=audio_url or UNSET,
        ),
        conversation_ended=turn.end_reason is not None,
        delayed_response=turn.is_delayed,
    )


def _things(turn: Turn, kind: str) -> list[dict[str, Any]]:
    """What author code has put beside the reply."""
    return [message.fields for call in turn.calls for message in call.messages if message.kind == kind]


def encode(response: Any) -> bytes:
    return _encode(response)
