"""What author code did outside, by keys that a repeated turn has again: begun before it is done, on the disk both times."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import Conversation
from vivavoce.domain.fact import Fact
from vivavoce.domain.surroundings import Effect
from vivavoce.errors import Invalid
from vivavoce.store.interface import Store

FACT = "effect"  # kind of fact
LIFETIME = timedelta(days=7)
MAX_KEY_CHARACTERS = 200


class Effects:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def begin(self, conversation: Conversation, key: str) -> Effect | None:
        if len(key) > MAX_KEY_CHARACTERS:
            raise Invalid(f"The name of an effect may have {MAX_KEY_CHARACTERS} characters with its key.")
        if await self._store.add_fact(self._fact(conversation, key, {"is_done": False})):
            return None
        known = await self._store.get_fact(
            conversation.account_id, conversation.agent_id, FACT, _name(conversation, key), self._clock.now()
        )
        return Effect(is_done=known.body["is_done"], result=known.body.get("result")) if known is not None else None

    async def settle(self, conversation: Conversation, key: str, result: Any) -> None:
        await self._store.put_fact(self._fact(conversation, key, {"is_done": True, "result": result}))

    async def forget(self, conversation: Conversation, key: str) -> None:
        await self._store.remove_fact(conversation.account_id, conversation.agent_id, FACT, _name(conversation, key))

    def _fact(self, conversation: Conversation, key: str, body: dict[str, Any]) -> Fact:
        now = self._clock.now()
        return Fact(
            account_id=conversation.account_id,
            agent_id=conversation.agent_id,
            kind=FACT,
            key=_name(conversation, key),
            subject=conversation.subject,
            body=body,
            at=now,
            expires_at=now + LIFETIME,
        )


def _name(conversation: Conversation, key: str) -> str:
    return f"{conversation.id}\0{key}"
