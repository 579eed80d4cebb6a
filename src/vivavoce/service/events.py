"""External events: author code announces one and gets an id; somebody outside posts data under it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.conversation import Conversation, ReceivedEvent, Subject
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.engine.tools import is_plain
from vivavoce.errors import AgentNotFound, Invalid
from vivavoce.service.access import require
from vivavoce.service.claims import Claims
from vivavoce.service.deployments import Deployments
from vivavoce.store.interface import Store

FACT = "external_event"
LIFETIME = timedelta(hours=1)
MOST_RECEIVED = 20  # for one event


class EventUnknown(Invalid):
    code = "EXTERNAL_EVENT_UNKNOWN"


class Events:
    def __init__(self, store: Store, clock: Clock, random: Random, deployments: Deployments, claims: Claims) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._deployments = deployments
        self._claims = claims

    async def announce(self, conversation: Conversation, *, is_for_model: bool) -> str:
        """On disk before author code can tell anybody of it."""
        now = self._clock.now()
        fact = Fact(
            account_id=conversation.account_id,
            agent_id=conversation.agent_id,
            kind=FACT,
            key=self._random.uuid(),
            subject=conversation.subject,
            body={"conversation": conversation.id, "is_for_model": is_for_model, "received": []},
            at=now,
            expires_at=now + LIFETIME,
        )
        await self._store.put_fact(fact)
        return fact.key

    async def receive(self, principal: Principal, account_id: str, agent_id: str, event_id: str, data: Any) -> None:
        """Keeps what was posted for the conversation's next turn."""
        require(principal, "write", agent_id)
        if not is_plain(data):
            raise Invalid("The data may be nested 32 levels deep, with whole numbers of at most 64 bits.")
        try:
            is_known = await self._deployments.account_of(principal, agent_id) == account_id
        except AgentNotFound:
            is_known = False
        if not is_known:
            raise EventUnknown("There is no such event, or it is over; an event can be posted to for an hour.")
        async with self._claims.hold(FACT, account_id, agent_id, event_id):
            now = self._clock.now()
            fact = await self._store.get_fact(account_id, agent_id, FACT, event_id, now)
            if fact is None:
                raise EventUnknown("There is no such event, or it is over; an event can be posted to for an hour.")
            received = fact.body["received"]
            if len(received) >= MOST_RECEIVED:
                raise Invalid(f"The event has been posted to {MOST_RECEIVED} times already.")
            entry = {"data": data, "at": now.isoformat()}
            is_there = await self._store.replace_fact(
                msgspec.structs.replace(
                    fact,
                    subject=Subject(account_id, agent_id, fact.body["conversation"]),
                    body={**fact.body, "received": [*received, entry]},
                )
            )
            if not is_there:  # erased meanwhile, with its conversation
                raise EventUnknown("There is no such event, or it is over; an event can be posted to for an hour.")

    async def received(self, conversation: Conversation, ids: tuple[str, ...]) -> tuple[ReceivedEvent, ...]:
        """What has come in for the events of a conversation, in order of time."""
        found: list[ReceivedEvent] = []
        for id_ in ids:
            fact = await self._store.get_fact(
                conversation.account_id, conversation.agent_id, FACT, id_, self._clock.now()
            )
            for entry in fact.body["received"] if fact is not None else ():
                found.append(
                    ReceivedEvent(
                        id=id_,
                        data=entry["data"],
                        at=datetime.fromisoformat(entry["at"]),
                        is_for_model=fact.body["is_for_model"] if fact is not None else False,
                    )
                )
        return tuple(sorted(found, key=lambda event: event.at))
