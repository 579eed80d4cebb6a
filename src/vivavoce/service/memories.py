"""What is remembered of callers from one conversation to the next, by an identifier that is itself kept only as a hash."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from vivavoce.domain.agent import MemorySettings
from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import Closing, Conversation, Snapshot, Turn
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.domain.surroundings import Remembered
from vivavoce.errors import NotFound
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.claims import Claims
from vivavoce.service.deployments import Deployments
from vivavoce.store.interface import Store

FACT = "memory"


class MemoryNotFound(NotFound):
    code = "MEMORY_NOT_FOUND"


class Memories:
    def __init__(self, store: Store, clock: Clock, deployments: Deployments, audit: Audit, claims: Claims) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._deployments = deployments
        self._claims = claims

    async def recall(self, conversation: Conversation, who: str) -> Remembered | None:
        """What is known of a caller by that identifier."""
        fact = await self._fact(conversation.account_id, conversation.agent_id, who)
        return msgspec.convert(fact.body, Remembered) if fact is not None else None

    @asynccontextmanager
    async def remembering(
        self,
        conversation: Conversation,
        settings: MemorySettings,
        snapshot: Snapshot,
        turns: list[Turn],
        closing: Closing,
    ) -> AsyncIterator[list[Fact]]:
        """The fact to be written with the end of a conversation: the state's values put over those of before.

        Two conversations of one caller that end together take their turns here.
        """
        view = {**snapshot.view, **(closing.view or {})}
        who = identifier(conversation, settings, view)
        if who is None:
            yield []
            return
        async with self._claims.hold(FACT, conversation.account_id, conversation.agent_id, who):
            known = await self._fact(conversation.account_id, conversation.agent_id, who)
            before = msgspec.convert(known.body, Remembered) if known is not None else Remembered()
            values = {
                key: value
                for key in settings.state_keys
                if key in view and (value := msgspec.json.decode(view[key])) is not None
            }
            first = before.first or (_first(conversation, turns, closing) if settings.has_analytics else {})
            after = Remembered(values={**before.values, **values}, first=first)
            yield [] if after == before else [self._fact_of(conversation, who, after)]

    def _fact_of(self, conversation: Conversation, who: str, remembered: Remembered) -> Fact:
        return Fact(
            account_id=conversation.account_id,
            agent_id=conversation.agent_id,
            kind=FACT,
            key=key_of(who),
            subject=conversation.subject,
            body=msgspec.to_builtins(remembered),
            at=self._clock.now(),
        )

    async def get(self, principal: Principal, agent_id: str, who: str) -> Fact:
        require(principal, "read", agent_id)
        require(principal, "pii", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        fact = await self._fact(account_id, agent_id, who)
        if fact is None:
            raise MemoryNotFound("Nothing is remembered under that identifier.")
        await self._audit.note(principal, "memory.read", account_id, agent_id, who)
        return fact

    async def forget(self, principal: Principal, agent_id: str, who: str) -> None:
        require(principal, "write", agent_id)
        require(principal, "pii", agent_id)  # whether somebody was known would be told by whether they can be forgotten
        account_id = await self._deployments.account_of(principal, agent_id)
        if not await self._store.remove_fact(account_id, agent_id, FACT, key_of(who)):
            raise MemoryNotFound("Nothing is remembered under that identifier.")
        await self._audit.note(principal, "memory.erase", account_id, agent_id, who)

    async def _fact(self, account_id: str, agent_id: str, who: str) -> Fact | None:
        return await self._store.get_fact(account_id, agent_id, FACT, key_of(who), self._clock.now())


def identifier(conversation: Conversation, settings: MemorySettings, view: dict[str, Any]) -> str | None:
    """Whom to remember: by the source that the agent names, else by the caller's number."""
    kind, _, key = settings.identifier_source.partition(":")
    found: Any
    match kind:
        case "sip_headers":
            found = conversation.sip_headers.get(key)
        case "integration_attributes":
            found = conversation.integration_attributes.get(key)
        case "state":
            found = msgspec.json.decode(view[key]) if key in view else None
        case _:
            found = conversation.to_number if conversation.direction == "outbound" else conversation.from_number
    text = "" if found is None else str(found).strip()
    return text if text and text not in settings.identifier_blacklist else None


def key_of(who: str) -> str:
    """Under which a caller is remembered."""
    return hashlib.sha256(who.encode()).hexdigest()


def _first(conversation: Conversation, turns: list[Turn], closing: Closing) -> dict[str, str]:
    metrics = [m for turn in turns for m in turn.metrics] + list(closing.metrics)
    cited = [str(m.value) for m in metrics if m.name == "QA"]
    return {
        "conversation_id": conversation.id,
        "datetime": conversation.started_at.isoformat(),
        "qa": cited[-1] if cited else "",
        "handoff_reason": conversation.handoff_reason or "",
        "handoff_to": conversation.handoff_destination or "",
    }
