"""Saved views of a list: a name for filters, searches and columns, each for the holder of one key."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from vivavoce.domain.clock import Clock
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.errors import Invalid, NotFound
from vivavoce.service.access import require
from vivavoce.service.deployments import Deployments
from vivavoce.store.interface import Store

FACT = "view"  # kind of fact
MOST_VIEWS = 50  # of a key
MAX_NAME_CHARACTERS = 25
MAX_QUERY_CHARACTERS = 2_000


class SavedView(Struct, frozen=True, kw_only=True):
    """`query` is the list's address after the question mark."""

    owner: str  # id of the key
    name: str
    query: str
    at: datetime


class ViewNotFound(NotFound):
    code = "VIEW_NOT_FOUND"


class SavedViews:
    def __init__(self, store: Store, clock: Clock, deployments: Deployments) -> None:
        self._store = store
        self._clock = clock
        self._deployments = deployments

    async def list(self, principal: Principal, agent_id: str) -> list[SavedView]:
        """By name."""
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        found = [
            msgspec.convert(body, SavedView)
            for body in await self._store.facts(account_id, agent_id, FACT, self._clock.now())
        ]
        return sorted((v for v in found if v.owner == principal.key_id), key=lambda view: view.name.casefold())

    async def save(self, principal: Principal, agent_id: str, name: str, query: str) -> SavedView:
        """Replaces the one of that name."""
        name = name.strip()
        if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
            raise Invalid(f"A view needs a name of 1 to {MAX_NAME_CHARACTERS} characters.")
        if len(query) > MAX_QUERY_CHARACTERS:
            raise Invalid("The view has more filters than can be saved.")
        known = await self.list(principal, agent_id)
        if len(known) >= MOST_VIEWS and name not in {view.name for view in known}:
            raise Invalid(f"There are {MOST_VIEWS} saved views already; remove one.")
        account_id = await self._deployments.account_of(principal, agent_id)
        view = SavedView(owner=principal.key_id, name=name, query=query, at=self._clock.now())
        await self._store.put_fact(
            Fact(
                account_id=account_id,
                agent_id=agent_id,
                kind=FACT,
                key=f"{view.owner}\0{name}",
                body=msgspec.to_builtins(view),
                at=view.at,
            )
        )
        return view

    async def remove(self, principal: Principal, agent_id: str, name: str) -> None:
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        if not await self._store.remove_fact(account_id, agent_id, FACT, f"{principal.key_id}\0{name}"):
            raise ViewNotFound(f"There is no saved view {name[:MAX_NAME_CHARACTERS]!r}.")
