"""The record, read back."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from vivavoce.domain.conversation import Closing, Conversation, Delivery, Turn
from vivavoce.domain.principal import Principal
from vivavoce.errors import ConversationNotFound
from vivavoce.service.access import require
from vivavoce.service.deployments import Deployments
from vivavoce.store.interface import Store


class Found(Struct, frozen=True, kw_only=True):
    """All that is recorded of one conversation."""

    conversation: Conversation
    turns: Sequence[Turn]
    closing: Closing | None
    deliveries: Sequence[Delivery]


class Conversations:
    def __init__(self, store: Store, deployments: Deployments) -> None:
        self._store = store
        self._deployments = deployments

    async def list(
        self, principal: Principal, agent_id: str, *, limit: int, offset: int
    ) -> tuple[Sequence[Conversation], int]:
        """A page, newest first, and how many there are."""
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        return await self._store.list(account_id, agent_id, limit=limit, offset=offset)

    async def get(self, principal: Principal, agent_id: str, id: str) -> Found:
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        conversation = await self._store.get(account_id, agent_id, id)
        if conversation is None:
            raise ConversationNotFound
        return Found(
            conversation=conversation,
            turns=await self._store.turns(conversation),
            closing=await self._store.closing(conversation),
            deliveries=await self._store.deliveries(conversation),
        )
