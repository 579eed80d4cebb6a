"""What whoever takes a conversation over may read of it: the state's values that the agent exposes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from vivavoce.domain.agent import HandoffApi
from vivavoce.domain.conversation import Conversation, Snapshot
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.errors import ConversationNotFound, Forbidden, Invalid
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.deployments import Deployments
from vivavoce.service.finders import Finders
from vivavoce.service.redaction import customer_of, redactor, sees_personal
from vivavoce.store.interface import Store

FACT = "shared_id"


class Handoffs:
    def __init__(self, store: Store, deployments: Deployments, audit: Audit, finders: Finders) -> None:
        self._finders = finders
        self._store = store
        self._audit = audit
        self._deployments = deployments

    async def state(
        self, principal: Principal, account_id: str, agent_id: str, *, id: str | None, shared_id: str | None
    ) -> dict[str, Any]:
        """{id, shared_id, data}. A shared id goes first; it is the newest conversation's that has it."""
        require(principal, "read", agent_id)
        if not id and not shared_id:
            raise Invalid("Give id, the conversation's, or shared_id.")
        if shared_id and not sees_personal(principal):
            raise Forbidden(
                "This API key may not see personal data, so it may not ask by shared_id; it lacks the permission 'pii'."
            )
        if await self._deployments.account_of(principal, agent_id) != account_id:
            raise ConversationNotFound
        conversation = await self._conversation(account_id, agent_id, id, shared_id)
        prepared = await self._deployments.prepared(conversation.tree)
        agent = prepared.in_group(conversation.test_group).agent
        settings = agent.experimental.handoff_api
        closing = await self._store.closing(conversation)
        snapshot = await self._store.snapshot(conversation)
        view = {**snapshot.view, **((closing.view or {}) if closing is not None else {})}
        data = {
            settings.aliases.get(key, key): msgspec.json.decode(view[key]) if key in view else None
            for key in settings.state_keys
        }
        shared = shared_id_of(settings, snapshot)
        if sees_personal(principal):
            await self._audit.note(principal, "handoff_state.read", account_id, agent_id, conversation.id)
            return {"id": conversation.id, "shared_id": shared, "data": data}
        (transcript,) = await self._store.transcripts([conversation])
        finder = await self._finders(account_id, agent_id)
        known = redactor(transcript.turns, [customer_of(conversation), shared or ""], finder)
        return {"id": conversation.id, "shared_id": None, "data": known.json(data, is_free=True)}

    async def _conversation(
        self, account_id: str, agent_id: str, id: str | None, shared_id: str | None
    ) -> Conversation:
        if shared_id:
            fact = await self._store.get_fact(account_id, agent_id, FACT, shared_id, _LONG_AGO)
            id = str(fact.body["id"]) if fact is not None else None
        found = await self._store.get(account_id, agent_id, id) if id else None
        if found is None:
            raise ConversationNotFound
        return found


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # these facts do not expire


def shared_id_of(settings: HandoffApi, snapshot: Snapshot) -> str | None:
    """The id that the agent shares with other systems, from its state."""
    raw = snapshot.view.get(settings.shared_id_key)
    value = msgspec.json.decode(raw) if raw is not None else None
    return None if value is None else str(value)


def shared_id_fact(conversation: Conversation, shared_id: str) -> Fact:
    return Fact(
        account_id=conversation.account_id,
        agent_id=conversation.agent_id,
        kind=FACT,
        key=shared_id,
        subject=conversation.subject,
        body={"id": conversation.id},
        at=conversation.last_turn_at,
    )
