"""Debug chat: talking to an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vivavoce.client.operation import Given, Group, X, operation
from vivavoce.wire.calls import CreateCallBody, CreateCallResponse
from vivavoce.wire.chat import CreateDebugChatBody, DebugChatResponse, RespondDebugChatBody


class Chats(Group[X]):
    @operation("POST", "/v1/agents/{agentId}/debug-chat", DebugChatResponse, takes_key=True)
    def create(
        self,
        agent_id: str,
        *,
        client_env: str = "sandbox",
        conversation_id: str | None = None,
        variant_id: str | None = None,
        channel: str | None = None,
        asr_lang_code: str | None = None,
        tts_lang_code: str | None = None,
        integration_attributes: dict[str, Any] | None = None,
        caller_number: str | None = None,
        callee_number: str | None = None,
        sip_headers: dict[str, str] | None = None,
        simulated_at: str | None = None,
    ) -> Given:
        """Begins a conversation; the reply holds the greeting."""
        body = CreateDebugChatBody(
            client_env=client_env,
            conversation_id=conversation_id,
            variant_id=variant_id,
            channel=channel,
            asr_lang_code=asr_lang_code,
            tts_lang_code=tts_lang_code,
            integration_attributes=integration_attributes,
            caller_number=caller_number,
            callee_number=callee_number,
            sip_headers=sip_headers,
            simulated_at=simulated_at,
        )
        return Given((agent_id,), body=body)

    @operation("POST", "/v1/agents/{agentId}/calls", CreateCallResponse)
    def call(
        self,
        agent_id: str,
        *,
        client_env: str = "sandbox",
        conversation_id: str | None = None,
        variant_id: str | None = None,
        asr_lang_code: str | None = None,
        tts_lang_code: str | None = None,
        integration_attributes: dict[str, Any] | None = None,
        caller_number: str | None = None,
        callee_number: str | None = None,
        sip_headers: dict[str, str] | None = None,
    ) -> Given:
        """Lets one call in; the reply says where its WebSocket is to be opened."""
        body = CreateCallBody(
            client_env=client_env,
            conversation_id=conversation_id,
            variant_id=variant_id,
            asr_lang_code=asr_lang_code,
            tts_lang_code=tts_lang_code,
            integration_attributes=integration_attributes,
            caller_number=caller_number,
            callee_number=callee_number,
            sip_headers=sip_headers,
        )
        return Given((agent_id,), body=body)

    @operation("POST", "/v1/agents/{agentId}/debug-chat/{conversationId}", DebugChatResponse, takes_key=True)
    def respond(
        self,
        agent_id: str,
        conversation_id: str,
        message: str = "",
        *,
        client_env: str = "sandbox",
        asr_lang_code: str | None = None,
        tts_lang_code: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Given:
        """Says something; an empty message is silence."""
        body = RespondDebugChatBody(
            client_env=client_env,
            message=message,
            asr_lang_code=asr_lang_code,
            tts_lang_code=tts_lang_code,
            metadata=dict(metadata) if metadata is not None else None,
        )
        return Given((agent_id, conversation_id), body=body)
