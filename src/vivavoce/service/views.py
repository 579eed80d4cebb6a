"""Saved views of a list: a name for filters, searches and columns, each for the holder of one key."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from vivavoce.domain.clock import Clock
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.errors import Invalid, NotFound
from vivavoce.service.access import require
from vivavoce.service.deployments import Deployments
from vivavoce.store import facets
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
                key=_key(view.owner, name),
                body=msgspec.to_builtins(view),
                is_private=True,  # its filters may name a caller
                at=view.at,
            )
        )
        return view

    async def forget(self, account_id: str, agent_id: str, contact: str) -> int:
        """Takes away the views, whosever they are, that ask for a caller who is to be forgotten: how many."""
        wanted = facets.contact(contact)
        removed = 0
        for body in await self._store.facts(account_id, agent_id, FACT, self._clock.now()):
            view = msgspec.convert(body, SavedView)
            asked = [facets.contact(text) for text in parse_qs(view.query).get("contact", ())]
            if wanted in asked:
                removed += await self._store.remove_fact(account_id, agent_id, FACT, _key(view.owner, view.name))
        return removed

    async def remove(self, principal: Principal, agent_id: str, name: str) -> None:
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        if not await self._store.remove_fact(account_id, agent_id, FACT, _key(principal.key_id, name)):
            raise ViewNotFound(f"There is no saved view {name[:MAX_NAME_CHARACTERS]!r}.")


def _key(owner: str, name: str) -> str:
    return f"{owner}\0{name}"
