"""Agents that begin and end by the API: their draft is a stored tree, as that of a served folder is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from vivavoce.domain.branch import MAIN
from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.deployment import Tree
from vivavoce.domain.ids import clean_name
from vivavoce.domain.parts import AgentSummary
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria
from vivavoce.errors import AgentNotFound, Conflict, Invalid, NotFound
from vivavoce.project import layout
from vivavoce.project.editing import Files
from vivavoce.project.loader import load
from vivavoce.project.tree import tree_hash
from vivavoce.project.writing import edited, text_of, yaml_of
from vivavoce.service import audio_cache, events, handoffs, memories, real_time, views
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.branches import Branches
from vivavoce.service.claims import Claims
from vivavoce.service.deployments import Deployments
from vivavoce.service.erasure import RETAIN
from vivavoce.service.experiments import EXPERIMENT
from vivavoce.service.finders import RULES
from vivavoce.service.redaction_rules import RUN
from vivavoce.service.test_runs import TEST_RUN
from vivavoce.store.interface import Store

CLAIM = "agents"
LEFT_BEHIND = (
    EXPERIMENT,
    TEST_RUN,
    real_time.FACT,
    RULES,
    RUN,
    views.FACT,
    memories.FACT,
    RETAIN,
    handoffs.FACT,
    events.FACT,
    audio_cache.FACT,
)
MAX_NAME = 100


class AccountNotFound(NotFound):
    code = "ACCOUNT_NOT_FOUND"


class AgentExists(Conflict):
    code = "PROJECT_ID_ALREADY_EXISTS"


class AgentIdInvalid(Invalid):
    code = "PROJECT_ID_INVALID"


class AgentInUse(Conflict):
    code = "PROJECT_IN_USE"


class Agents:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        deployments: Deployments,
        branches: Branches,
        audit: Audit,
        claims: Claims,
        template: Callable[[str], Files],
    ) -> None:
        """`template(agent id)` is the folder with which an agent begins."""
        self._store = store
        self._clock = clock
        self._random = random
        self._deployments = deployments
        self._branches = branches
        self._audit = audit
        self._claims = claims
        self._template = template

    async def listed(self, principal: Principal, account_id: str) -> list[AgentSummary]:
        """By id."""
        require(principal, "read")
        known = [agent for agent in await self._deployments.agents(principal) if agent.account_id == account_id]
        if not known:
            raise AccountNotFound(f"There is no account {account_id[:64]!r}.")
        return [await self._summary(principal, account_id, agent.agent_id) for agent in known]

    async def create(
        self,
        principal: Principal,
        account_id: str,
        name: str,
        *,
        agent_id: str | None = None,
        greeting: str,
        language: str = "en-GB",
    ) -> AgentSummary:
        """From the template, with that greeting."""
        agent_id = _id(agent_id, name, self._random)
        files = self._template(agent_id)
        greets = {"welcome_message": greeting, "language_code": language}

        def greet(value: dict[str, object]) -> None:
            value["greeting"] = {key: text_of(text) for key, text in greets.items()}

        for path in (layout.VOICE, layout.CHAT):
            if path in files:
                files[path] = edited(files[path], path, greet)
        files[layout.LANGUAGES] = yaml_of({"default_language": language})
        return await self._begin(principal, account_id, agent_id, name, files)

    async def duplicate(
        self, principal: Principal, agent_id: str, name: str, *, new_id: str | None = None
    ) -> AgentSummary:
        """Its main branch as it is now."""
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        _, tree = await self._branches.files(principal, agent_id, MAIN)
        return await self._begin(principal, account_id, _id(new_id, name, self._random), name, dict(tree.files))

    async def remove(self, principal: Principal, agent_id: str) -> None:
        """The agent and its branches; refused while its folder is served or its record holds anything, which has to be erased
        first."""
        require(principal, "admin", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        async with self._claims.hold(CLAIM, account_id, agent_id):
            if self._deployments.served_draft(account_id, agent_id) is not None:
                raise AgentInUse("The agent is served from a folder; stop serving that.")
            if (await self._store.count(account_id, agent_id, Criteria())).number:
                raise AgentInUse("The agent has conversations; erase them first.")
            await self._audit.note(principal, "agent.remove", account_id, agent_id)
            await self._branches.forget(account_id, agent_id)
            later = self._clock.now() + timedelta(days=1)
            for kind in LEFT_BEHIND:  # whoever takes the id next begins with nothing of it
                await self._store.expired_facts(account_id, agent_id, kind, later)
            await self._deployments.remove(account_id, agent_id)

    async def _begin(
        self, principal: Principal, account_id: str, agent_id: str, name: str, files: Files
    ) -> AgentSummary:
        require(principal, "admin", agent_id)
        if principal.account_id not in (None, account_id):
            raise AgentNotFound(f"There is no account {account_id[:64]!r}.")
        if not 0 < len(name.strip()) <= MAX_NAME:
            raise Invalid(f"name should have 1 to {MAX_NAME} characters.")

        def identify(value: dict[str, object]) -> None:
            value.update(project_id=agent_id, account_id=account_id, project_name=name.strip())

        files[layout.PROJECT] = edited(files.get(layout.PROJECT, b""), layout.PROJECT, identify)
        tree = Tree(hash=tree_hash(files), files=files)
        loaded = await asyncio.to_thread(load, tree)
        if loaded.errors:
            fault = loaded.errors[0]
            raise Invalid(f"The agent would have an error: {fault.path}:{fault.line}: {fault.message}")
        async with self._claims.hold(CLAIM, account_id, agent_id):
            if await self._store.accounts_of(agent_id):
                raise AgentExists(f"There is an agent {agent_id!r} already.")
            await self._deployments.put_draft(account_id, agent_id, tree)
            await self._audit.note(principal, "agent.create", account_id, agent_id)
        return await self._summary(principal, account_id, agent_id)

    async def _summary(self, principal: Principal, account_id: str, agent_id: str) -> AgentSummary:
        main, *others = await self._branches.listed(principal, agent_id)
        name = (await self._deployments.agent_of(main.tree)).identity.name
        return AgentSummary(
            account_id=account_id,
            agent_id=agent_id,
            name=name or agent_id,
            created_at=main.created_at,
            updated_at=max(branch.updated_at for branch in (main, *others)),
            branches=len(others),
        )


def _id(given: str | None, name: str, random: Random) -> str:
    if given is not None:
        if (
            not given.replace("-", "").isalnum()
            or not given.isascii()
            or not given[0].isalnum()
            or len(given) > MAX_NAME
        ):
            raise AgentIdInvalid("agentId should be of letters, digits and dashes, beginning with a letter or digit.")
        return given
    stem = clean_name(name).replace("_", "-").strip("-")[:60]
    return f"{stem or 'agent'}-{random.uuid()[:8]}"
