"""By which rules an agent's texts are looked at for personal data: the built-in ones, or its own."""

from __future__ import annotations

import msgspec

from vivavoce.domain.clock import Clock
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.redaction.finder import BUILT_IN, Finder, OwnRules
from vivavoce.service.deployments import Deployments
from vivavoce.service.kept import Kept
from vivavoce.service.news import News
from vivavoce.service.redaction import sees_personal
from vivavoce.store.interface import Store

RULES = "redaction"  # kind of fact


class Finders:
    def __init__(self, store: Store, clock: Clock, deployments: Deployments, news: News) -> None:
        self._store = store
        self._clock = clock
        self._deployments = deployments
        self._news = news
        self._known: Kept[Finder] = Kept()
        news.on("redaction_rules", self._known.forget)

    async def __call__(self, account_id: str, agent_id: str) -> Finder:
        async def read() -> Finder:
            return Finder(await self.rules(account_id, agent_id))

        return await self._known.get((account_id, agent_id), read)

    async def of(self, principal: Principal, agent_id: str) -> Finder:
        """For what a principal is shown of an agent; who sees everything needs none."""
        if sees_personal(principal):
            return BUILT_IN
        return await self(await self._deployments.account_of(principal, agent_id), agent_id)

    async def rules(self, account_id: str, agent_id: str) -> OwnRules:
        fact = await self._store.get_fact(account_id, agent_id, RULES, "", self._clock.now())
        return msgspec.convert(fact.body, OwnRules) if fact is not None else OwnRules()

    async def put_rules(self, account_id: str, agent_id: str, rules: OwnRules) -> None:
        """Raises PatternInvalid, and nothing is changed."""
        Finder(rules)
        await self._store.put_fact(
            Fact(
                account_id=account_id,
                agent_id=agent_id,
                kind=RULES,
                key="",
                body=msgspec.to_builtins(rules),
                at=self._clock.now(),
            )
        )
        self._known.forget((account_id, agent_id))
        await self._news.tell("redaction_rules", account_id, agent_id)
