"""What belongs to an agent as a whole: export and import, retention, memory, real-time configuration, what others tell it."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from types import NoneType
from typing import Any, Unpack

from msgspec import UNSET, Raw

from vivavoce.client.conversations import Filters, query_of
from vivavoce.client.operation import Given, Group, X, chunks, operation
from vivavoce.domain.record import ExportFormat
from vivavoce.wire.agents import AgentResponse, CreateAgentBody, DuplicateAgentBody, ResponseSettings
from vivavoce.wire.erasure import EraseCallerBody, ReceiptResponse, RetentionBody
from vivavoce.wire.exports import ExportSignatureResponse, ImportBody, ImportResponse
from vivavoce.wire.redaction import PatternItem, RedactionBody, RedactionResponse, RedactionRunResponse
from vivavoce.wire.surroundings import (
    EventReceivedResponse,
    GetConfigPageResponse,
    GetConfigPagesResponse,
    HandoffState,
    MemoryResponse,
    UpdateConfigSchemaBody,
    UpdateConfigVariablesBody,
)

_AGENT = "/v1/agents/{agentId}"
_CONFIG = _AGENT + "/real-time-configs"


class Agents(Group[X]):
    @operation("GET", "/v1/accounts/{accountId}/agents", builtins.list[AgentResponse])
    def list(self, account_id: str) -> Given:
        return Given((account_id,))

    @operation("POST", "/v1/accounts/{accountId}/agents", AgentResponse)
    def create(self, account_id: str, name: str, greeting: str, *, agent_id: str | None = None) -> Given:
        """From a small working folder."""
        body = CreateAgentBody(
            name=name,
            agent_id=UNSET if agent_id is None else agent_id,
            response_settings=ResponseSettings(greeting=greeting),
        )
        return Given((account_id,), body=body)

    @operation("POST", _AGENT + "/duplicate", AgentResponse)
    def duplicate(self, agent_id: str, name: str, *, new_id: str | None = None) -> Given:
        return Given(
            (agent_id,), body=DuplicateAgentBody(new_agent_name=name, new_agent_id=UNSET if new_id is None else new_id)
        )

    @operation("DELETE", _AGENT, NoneType)
    def remove(self, agent_id: str) -> Given:
        """Only one that is not served from a folder and has no conversations."""
        return Given((agent_id,))

    @chunks("GET", _AGENT + "/export")
    def export(
        self, agent_id: str, format: ExportFormat = "jsonl", *, export_id: str | None = None, **filters: Unpack[Filters]
    ) -> Given:
        """Conversations, oldest first, as bytes that can be written to a file as they come. `export_id` is for `export_signature`."""
        return Given((agent_id,), query_of(filters, format=format, export_id=export_id))

    @operation("GET", _AGENT + "/exports/{exportId}", ExportSignatureResponse)
    def export_signature(self, agent_id: str, export_id: str) -> Given:
        """Of an export that was read to its end."""
        return Given((agent_id, export_id))

    @operation("POST", _AGENT + "/import", ImportResponse)
    def take_in(self, agent_id: str, records: Sequence[bytes | Raw]) -> Given:
        """Lines of an export of format jsonl or vcon, or anybody's vCons; at most 200 at once."""
        return Given((agent_id,), body=ImportBody(records=[Raw(record) for record in records]))

    @operation("POST", _AGENT + "/erasures", ReceiptResponse)
    def erase_caller(self, agent_id: str, contact: str) -> Given:
        """Everything from or to a number or address, and what is remembered of it; the answer is a signed receipt."""
        return Given((agent_id,), body=EraseCallerBody(contact=contact))

    @operation("GET", _AGENT + "/retention", RetentionBody)
    def retention(self, agent_id: str) -> Given:
        return Given((agent_id,))

    @operation("PUT", _AGENT + "/retention", RetentionBody)
    def put_retention(
        self,
        agent_id: str,
        *,
        conversations: int | None = None,
        details: int | None = None,
        memory: int | None = None,
    ) -> Given:
        """Days for each kind of data; None is for ever."""
        return Given((agent_id,), body=RetentionBody(conversations=conversations, details=details, memory=memory))

    @operation("GET", _AGENT + "/redaction", RedactionResponse)
    def redaction(self, agent_id: str) -> Given:
        """The agent's own redaction rules, and how far they have gone over the record."""
        return Given((agent_id,))

    @operation("PUT", _AGENT + "/redaction", RedactionResponse)
    def put_redaction(
        self,
        agent_id: str,
        *,
        patterns: Sequence[PatternItem] = (),
        keep: Sequence[str] = (),
        shown: Sequence[str] = (),
    ) -> Given:
        """Replaces them; all that is shown follows them at once."""
        return Given((agent_id,), body=RedactionBody(patterns=[*patterns], keep=[*keep], shown=[*shown]))

    @operation("POST", _AGENT + "/redaction/run", RedactionRunResponse)
    def run_redaction(self, agent_id: str) -> Given:
        """Decides anew what is personal in every conversation, in the background."""
        return Given((agent_id,))

    @operation("GET", _AGENT + "/memory/{identifier}", MemoryResponse)
    def memory(self, agent_id: str, identifier: str) -> Given:
        """What is remembered of a caller."""
        return Given((agent_id, identifier))

    @operation("DELETE", _AGENT + "/memory/{identifier}", NoneType)
    def forget(self, agent_id: str, identifier: str) -> Given:
        return Given((agent_id, identifier))

    @operation("GET", _CONFIG, GetConfigPagesResponse)
    def real_time_configs(self, agent_id: str) -> Given:
        return Given((agent_id,))

    @operation("GET", _CONFIG + "/{clientEnv}", GetConfigPageResponse)
    def real_time_config(self, agent_id: str, client_env: str) -> Given:
        return Given((agent_id, client_env))

    @operation("PUT", _CONFIG + "/{clientEnv}/schema", GetConfigPageResponse)
    def put_config_schema(self, agent_id: str, client_env: str, schema: dict[str, Any]) -> Given:
        return Given((agent_id, client_env), body=UpdateConfigSchemaBody(schema=schema))

    @operation("PATCH", _CONFIG + "/{clientEnv}/variables", GetConfigPageResponse)
    def put_config_variables(self, agent_id: str, client_env: str, variables: dict[str, Any]) -> Given:
        return Given((agent_id, client_env), body=UpdateConfigVariablesBody(variables=variables))

    @operation("GET", "/v1/{account_id}/{project_id}/handoff_state", HandoffState)
    def handoff_state(
        self, account_id: str, agent_id: str, *, id: str | None = None, shared_id: str | None = None
    ) -> Given:
        """What the agent exposes to whoever takes a conversation over."""
        return Given((account_id, agent_id), {"id": id, "shared_id": shared_id})

    @operation("POST", "/v1/external-events/webhook", EventReceivedResponse)
    def post_event(self, account_id: str, agent_id: str, event_id: str, data: builtins.dict[str, Any]) -> Given:
        """Data for an event that the agent's code has announced."""
        query = {
            "event_id_location": "headers",
            "event_id_path": "X-Event-Id",
            "account_id": account_id,
            "project_id": agent_id,
        }
        return Given((), query, body=data, headers={"X-Event-Id": event_id})
