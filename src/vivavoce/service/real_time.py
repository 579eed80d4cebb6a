"""Real-time configuration: values that an agent reads, changed while it runs, outside of versions."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from vivavoce.domain.agent import Agent
from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import Conversation
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.engine.tools import is_plain
from vivavoce.errors import AgentNotFound, Invalid
from vivavoce.project import real_time
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.claims import Claims
from vivavoce.service.deployments import Deployments
from vivavoce.service.kept import Kept
from vivavoce.service.news import News
from vivavoce.store.interface import Store

FACT = "real_time_config"
MAX_BYTES = 1 << 20
_NOTHING: dict[str, Any] = {}  # always the same one, so that it is seen not to change


class UnknownEnvironment(Invalid):
    code = "REAL_TIME_CONFIG_UNKNOWN_CLIENT_ENVIRONMENT"


class InvalidSchema(Invalid):
    code = "REAL_TIME_CONFIG_INVALID_SCHEMA"


class InvalidForSchema(Invalid):
    code = "REAL_TIME_CONFIG_INVALID_FOR_SCHEMA"


class Page(Struct, frozen=True, kw_only=True):
    """One environment's configuration; None where nothing was ever given."""

    environment: str
    schema: dict[str, Any] | None = None
    variables: dict[str, Any] | None = None
    changed_at: datetime | None = None


class RealTimeConfigs:
    """What was written through the API lives in the store; the folder's own files hold until then, and again once they
    change: whoever changed last wins."""

    def __init__(
        self, store: Store, clock: Clock, deployments: Deployments, audit: Audit, claims: Claims, news: News
    ) -> None:
        self._audit = audit
        self._store = store
        self._clock = clock
        self._deployments = deployments
        self._claims = claims
        self._news = news
        self._facts: Kept[Fact | None] = Kept()
        news.on("real_time", self._facts.forget)

    async def pages(self, principal: Principal, agent_id: str) -> list[Page]:
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        return [await self._page(account_id, agent_id, name) for name in real_time.PAGES]

    async def page(self, principal: Principal, agent_id: str, environment: str) -> Page:
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        return await self._page(account_id, agent_id, _page_name(environment))

    async def put_schema(self, principal: Principal, agent_id: str, environment: str, schema: dict[str, Any]) -> Page:
        """Data that is there already is left as it is, and checked when it is next written."""
        require(principal, "write", agent_id)
        account_id, name = await self._place(principal, agent_id, environment, schema)
        async with self._claims.hold(FACT, account_id, agent_id, name):
            problem = (await asyncio.to_thread(real_time.check, schema)).schema
            if problem is not None:
                raise InvalidSchema(f"This is not a JSON Schema: {problem}.")
            page = await self._page(account_id, agent_id, name)
            changed = await self._put(account_id, agent_id, msgspec.structs.replace(page, schema=schema))
            await self._audit.note(
                principal, "real_time_config.change", account_id, agent_id, environment=name, part="schema"
            )
            return changed

    async def put_variables(
        self, principal: Principal, agent_id: str, environment: str, variables: dict[str, Any]
    ) -> Page:
        """Replaces all of them; running conversations read the new ones on their next turn."""
        require(principal, "write", agent_id)
        account_id, name = await self._place(principal, agent_id, environment, variables)
        async with self._claims.hold(FACT, account_id, agent_id, name):
            page = await self._page(account_id, agent_id, name)
            checked = await asyncio.to_thread(real_time.check, page.schema or {}, variables)
            problems = checked.data or ((checked.schema,) if checked.schema else ())
            if problems:
                raise InvalidForSchema(f"The variables do not fit the schema: {'; '.join(problems)}.")
            changed = await self._put(account_id, agent_id, msgspec.structs.replace(page, variables=variables))
            await self._audit.note(
                principal, "real_time_config.change", account_id, agent_id, environment=name, part="variables"
            )
            return changed

    async def _place(
        self, principal: Principal, agent_id: str, environment: str, value: dict[str, Any]
    ) -> tuple[str, str]:
        """(account, page) of a value that may be written at all."""
        if len(msgspec.json.encode(value)) > MAX_BYTES:
            raise Invalid(f"A real-time configuration may have {MAX_BYTES >> 10} KiB.")
        if not is_plain(value):
            raise Invalid(
                "A real-time configuration may be nested 32 levels deep, with whole numbers of at most 64 bits."
            )
        return await self._deployments.account_of(principal, agent_id), _page_name(environment)

    async def current(self, conversation: Conversation, agent: Agent) -> dict[str, Any]:
        """What a conversation reads now: the same object until it changes."""
        name = real_time.page_of(conversation.environment) or "sandbox"
        fact = await self._fact(conversation.account_id, conversation.agent_id, name)
        own = _folder_page(self._deployments.served_agent(conversation.agent_id) or agent, name)
        if fact is not None and fact.body["base"] == _base(own):
            variables: dict[str, Any] = fact.body["variables"] or _NOTHING
            return variables
        return own.variables or _NOTHING

    async def _page(self, account_id: str, agent_id: str, name: str) -> Page:
        fact = await self._fact(account_id, agent_id, name)
        agent = await self._deployments.draft_agent(account_id, agent_id)
        own = _folder_page(agent, name) if agent is not None else Page(environment=name)
        if fact is None or fact.body["base"] != _base(own):
            return own
        return Page(environment=name, schema=fact.body["schema"], variables=fact.body["variables"], changed_at=fact.at)

    async def _put(self, account_id: str, agent_id: str, page: Page) -> Page:
        agent = await self._deployments.draft_agent(account_id, agent_id)
        if agent is None:
            raise AgentNotFound(f"Agent {agent_id!r} has no draft, so its configuration cannot be changed.")
        fact = Fact(
            account_id=account_id,
            agent_id=agent_id,
            kind=FACT,
            key=page.environment,
            body={
                "schema": page.schema,
                "variables": page.variables,
                "base": _base(_folder_page(agent, page.environment)),
            },
            at=self._clock.now(),
        )
        await self._store.put_fact(fact)
        self._facts.forget((account_id, agent_id, page.environment))
        await self._news.tell("real_time", account_id, agent_id, page.environment)
        return msgspec.structs.replace(page, changed_at=fact.at)

    async def _fact(self, account_id: str, agent_id: str, name: str) -> Fact | None:
        return await self._facts.get(
            (account_id, agent_id, name),
            lambda: self._store.get_fact(account_id, agent_id, FACT, name, self._clock.now()),
        )


def _page_name(environment: str) -> str:
    name = real_time.page_of(environment)
    if name is None:
        raise UnknownEnvironment(
            f"{environment[:40]!r} is not an environment: sandbox (which a draft shares), pre-release or live."
        )
    return name


def _folder_page(agent: Agent, name: str) -> Page:
    found = agent.real_time_config.get(real_time.FOLDER_OF[name])
    if found is None:
        return Page(environment=name)
    return Page(environment=name, schema=found.schema or None, variables=found.data)


def _base(page: Page) -> str:
    """What the folder said, as a hash: when it says something else, the folder has changed."""
    return hashlib.sha256(msgspec.json.encode([page.schema, page.variables], order="sorted")).hexdigest()
