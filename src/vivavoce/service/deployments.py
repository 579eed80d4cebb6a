"""Which tree serves an environment of an agent; loaded trees ready to run; drafts that follow their folder."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from vivavoce.domain.agent import Agent
from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.conversation import ENVIRONMENTS, Environment
from vivavoce.domain.deployment import Deployment, Tree
from vivavoce.domain.principal import Permission, Principal
from vivavoce.engine.prepared import Prepared
from vivavoce.entities import languages
from vivavoce.errors import AgentNotFound, DraftNotFound, Forbidden, Invalid, UsageError, VivavoceError
from vivavoce.knowledge.interface import PassageRetriever, Retriever
from vivavoce.project.cache import load_cached
from vivavoce.project.commit import commit_of
from vivavoce.project.folder import FolderConflict, write_tree
from vivavoce.project.loader import Loaded
from vivavoce.project.source import Fault
from vivavoce.project.tree import read_tree
from vivavoce.service.access import require, require_agent
from vivavoce.service.kept import Kept
from vivavoce.service.news import News
from vivavoce.store.interface import Store

log = logging.getLogger(__name__)

MOST_PREPARED = 64  # trees kept ready
INDEX_SECONDS = 5.0  # a folder is waited for until its index is whole, but no longer


class Served(Struct, frozen=True, kw_only=True):
    """A folder that this process serves, and the deployment of its draft."""

    folder: Path
    account_id: str
    agent_id: str
    deployment: Deployment
    loaded: Loaded


class FolderRefused(UsageError):
    """It has errors, and cannot be served."""

    def __init__(self, folder: Path, faults: tuple[Fault, ...]) -> None:
        lines = "\n".join(f"  {fault.path}:{fault.line}: {fault.message}" for fault in faults)
        super().__init__(f"{folder} has {len(faults)} error(s) and cannot be served:\n{lines}")
        self.faults = faults


class KnownAgent(Struct, frozen=True, kw_only=True):
    """An agent that a principal may see. `served` None: its folder is not served now, its record is there."""

    account_id: str
    agent_id: str
    served: Served | None = None


class Deployments:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        make_index: Callable[[Agent], tuple[Retriever, PassageRetriever]],
        *,
        news: News,
        cache: Path | None = None,
    ) -> None:
        """`cache` is a folder for what loading a folder comes to."""
        self._store = store
        self._clock = clock
        self._random = random
        self._make_index = make_index
        self._cache = cache
        self._served: dict[str, Served] = {}
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()
        self._agents: OrderedDict[str, Agent] = OrderedDict()  # read, and not made ready
        self._loading: dict[str, asyncio.Task[Prepared]] = {}
        self.refused: dict[str, str] = {}  # agents whose folder has changed into something that cannot be served
        self._refused_faults: dict[str, tuple[Fault, ...]] = {}
        self._news = news
        self._active: Kept[dict[str, Deployment]] = Kept()
        news.on("deployments", self._active.forget)

    # Folders.

    async def serve(self, folder: Path) -> Served:
        """Loads a folder as the draft of its agent. Raises UsageError, with every fault, when it has errors."""
        tree = await asyncio.to_thread(read_tree, folder)
        loaded = await asyncio.to_thread(load_cached, tree, self._cache, name=folder.resolve().name)
        if loaded.errors:
            raise FolderRefused(folder, loaded.errors)
        identity = loaded.agent.identity
        known = self._served.get(identity.agent_id)
        if known is not None and known.folder != folder.resolve():
            raise UsageError(
                f"{folder} and {known.folder} both are agent {identity.agent_id!r}; change project_id in one of them."
            )
        commit = await asyncio.to_thread(commit_of, folder)
        deployment = await self._deploy(identity.account_id, identity.agent_id, tree, commit)
        await asyncio.to_thread(self._prepare, loaded.agent, tree)
        served = Served(
            folder=folder.resolve(),
            account_id=identity.account_id,
            agent_id=identity.agent_id,
            deployment=deployment,
            loaded=loaded,
        )
        self._served[identity.agent_id] = served
        self.refused.pop(identity.agent_id, None)
        self._refused_faults.pop(identity.agent_id, None)
        return served

    def refuse(self, agent_id: str, message: str, faults: tuple[Fault, ...] = ()) -> None:
        """A folder has changed into something that cannot be served; the last good version goes on."""
        self.refused[agent_id] = message
        self._refused_faults[agent_id] = faults

    def faults(self, principal: Principal, agent_id: str) -> tuple[Fault, ...]:
        """What is wrong with the folder as it is on disk, errors first."""
        require(principal, "read", agent_id)
        served = self._served.get(agent_id)
        if served is None or principal.account_id not in (None, served.account_id):
            return ()
        errors = self._refused_faults.get(agent_id)
        return errors if errors is not None else served.loaded.faults

    async def _deploy(self, account_id: str, agent_id: str, tree: Tree, commit: str | None) -> Deployment:
        current = (await self.active(account_id, agent_id)).get("draft")
        if current is not None and (current.tree, current.git_commit) == (tree.hash, commit):
            return current
        await self._store.put_tree(tree)
        deployment = Deployment(
            id=self._random.uuid(),
            account_id=account_id,
            agent_id=agent_id,
            environment="draft",
            tree=tree.hash,
            created_at=self._clock.now(),
            git_commit=commit,
        )
        await self.add(deployment)
        return deployment

    def served_draft(self, account_id: str, agent_id: str) -> Deployment | None:
        """The draft of a folder that this process serves."""
        served = self._served.get(agent_id)
        return served.deployment if served is not None and served.account_id == account_id else None

    async def rewrite(self, account_id: str, agent_id: str, expected: str, tree: Tree) -> None:
        """The folder that is served becomes that tree, and is loaded. Raises FolderConflict, or UsageError with its faults."""
        served = self._served[agent_id]
        assert served.account_id == account_id
        try:
            await asyncio.to_thread(write_tree, served.folder, expected, tree)
        except FolderConflict:
            if errors := self._refused_faults.get(agent_id):  # trying again would not help
                first = f"{errors[0].path}:{errors[0].line}: {errors[0].message}"
                raise FolderConflict(
                    f"The folder has an error, so that it is not what is served: {first} Mend it, then merge."
                ) from None
            raise
        try:
            await self.serve(served.folder)
        except VivavoceError:
            await asyncio.to_thread(write_tree, served.folder, tree.hash, served.loaded.tree)
            raise

    async def put_draft(self, account_id: str, agent_id: str, tree: Tree) -> Deployment:
        """The draft of an agent that has no folder here."""
        return await self._deploy(account_id, agent_id, tree, None)

    async def add(self, deployment: Deployment) -> None:
        """From now on it serves its environment, here and in every other process. Its tree is stored already."""
        await self._store.add_deployment(deployment)
        self._active.forget((deployment.account_id, deployment.agent_id))
        await self._news.tell("deployments", deployment.account_id, deployment.agent_id)
        await self.active(deployment.account_id, deployment.agent_id)  # else whoever calls first would wait for it

    async def remove(self, account_id: str, agent_id: str) -> None:
        """The agent is known no more."""
        await self._store.remove_deployments(account_id, agent_id)
        self._active.forget((account_id, agent_id))
        await self._news.tell("deployments", account_id, agent_id)

    async def active(self, account_id: str, agent_id: str) -> dict[str, Deployment]:
        """What serves each environment; one that nothing serves is not in it."""

        async def read() -> dict[str, Deployment]:
            found: dict[str, Deployment] = {}
            for environment in ENVIRONMENTS:
                for newest in await self._store.deployments(account_id, agent_id, environment, limit=1):
                    found[environment] = newest
            return found

        return await self._active.get((account_id, agent_id), read)

    def served_agent(self, agent_id: str) -> Agent | None:
        """The agent as its folder is now, when this process serves it."""
        served = self._served.get(agent_id)
        return served.loaded.agent if served is not None else None

    async def draft_agent(self, account_id: str, agent_id: str) -> Agent | None:
        """The agent as its draft is now, whether its folder is served here or it is only stored."""
        served = self._served.get(agent_id)
        if served is not None and served.account_id == account_id:
            return served.loaded.agent
        draft = (await self.active(account_id, agent_id)).get("draft")
        return await self.agent_of(draft.tree) if draft is not None else None

    @property
    def served(self) -> list[Served]:
        return list(self._served.values())

    def refusal(self, principal: Principal, agent_id: str) -> str | None:
        """Why the folder as it is on disk cannot be served, when it cannot."""
        require(principal, "read", agent_id)
        served = self._served.get(agent_id)
        is_seen = served is not None and principal.account_id in (None, served.account_id)
        return self.refused.get(agent_id) if is_seen else None

    # Trees.

    async def prepared(self, tree: str) -> Prepared:
        """The agent of a tree, from memory or from the store: the folder may be long gone."""
        found = self._prepared.get(tree)
        if found is not None:
            self._prepared.move_to_end(tree)
            return found
        task = self._loading.get(tree)
        if task is None:
            task = self._loading[tree] = asyncio.create_task(self._load(tree))
            task.add_done_callback(lambda _: self._loading.pop(tree, None))
        return await asyncio.shield(task)

    async def _load(self, hash: str) -> Prepared:
        agent, tree = await self._read(hash)
        return await asyncio.to_thread(self._prepare, agent, tree)

    async def _read(self, hash: str) -> tuple[Agent, Tree]:
        tree = await self._store.get_tree(hash)
        if tree is None:
            raise AgentNotFound("The version of the agent that this conversation began with is no longer stored.")
        return (await asyncio.to_thread(load_cached, tree, self._cache)).agent, tree

    async def agent_of(self, tree: str) -> Agent:
        """What a tree says, without making it ready to run."""
        prepared = self._prepared.get(tree)
        if prepared is not None:
            return prepared.agent
        known = self._agents.get(tree)
        if known is None:
            known = self._agents[tree] = (await self._read(tree))[0]
            while len(self._agents) > MOST_PREPARED:
                self._agents.popitem(last=False)
        return known

    def _prepare(self, agent: Agent, tree: Tree) -> Prepared:
        code = {path: content for path, content in tree.files.items() if path.endswith(".py")}
        if agent.languages.additional:
            languages.prepare()
        retriever, passages = self._make_index(agent)
        retriever.wait(INDEX_SECONDS)
        passages.wait(INDEX_SECONDS)
        prepared = Prepared(agent, retriever, passages, tree.hash, code)
        self._prepared[tree.hash] = prepared
        while len(self._prepared) > MOST_PREPARED:
            self._prepared.popitem(last=False)
        return prepared

    async def code_of(self, tree: str) -> tuple[Agent, dict[str, bytes]]:
        """The agent and the Python files of a tree."""
        prepared = await self.prepared(tree)
        return prepared.agent, prepared.code

    # Agents and environments.

    async def agents(self, principal: Principal) -> list[KnownAgent]:
        """Every agent that the principal may see, by name. Of one that is in several accounts, the one that `account_of` tells."""
        names = {s.agent_id for s in self._served.values()}
        names |= {
            agent_id for account, agent_id in await self._store.agents() if principal.account_id in (None, account)
        }
        found = []
        for agent_id in sorted(names):
            try:
                account_id = await self.account_of(principal, agent_id)
            except (AgentNotFound, Forbidden):
                continue
            served = self._served.get(agent_id)
            is_served = served is not None and served.account_id == account_id
            found.append(KnownAgent(account_id=account_id, agent_id=agent_id, served=served if is_served else None))
        return found

    async def environments(self, principal: Principal, agent_id: str) -> dict[Environment, Deployment | None]:
        """What a conversation that begins now would begin on, by environment."""
        found: dict[Environment, Deployment | None] = {}
        for environment in ENVIRONMENTS:
            try:
                found[environment] = await self.resolve(principal, agent_id, environment)
            except DraftNotFound:
                found[environment] = None
        return found

    async def account_of(self, principal: Principal, agent_id: str) -> str:
        """The account in which the principal sees that agent; what it may do there is for the caller to ask."""
        served = self._served.get(agent_id)
        accounts = [served.account_id] if served is not None else []
        if served is None or principal.account_id not in (None, served.account_id):
            accounts += await self._store.accounts_of(agent_id)
        visible = [a for a in accounts if principal.account_id in (None, a)]
        if not visible:
            raise AgentNotFound(f"There is no agent {agent_id!r}.")
        require_agent(principal, agent_id)
        return visible[0]

    async def account_for(self, principal: Principal, agent_id: str, permission: Permission) -> str:
        """The same, for a principal that must have the right."""
        require(principal, permission, agent_id)
        return await self.account_of(principal, agent_id)

    async def resolve(
        self, principal: Principal, agent_id: str, environment: str, *, id: str | None = None
    ) -> Deployment:
        """The deployment that a new conversation in that environment begins on; the one that is named, where one is."""
        account_id = await self.account_of(principal, agent_id)
        env = environment_of(environment)
        if id is not None:
            named = await self._store.deployment(account_id, agent_id, id)
            if named is None:
                raise DraftNotFound(f"There is no deployment {id[:64]!r} of agent {agent_id!r}.")
            return named
        active = await self.active(account_id, agent_id)
        if env in active and env != "draft":
            return active[env]
        if env in ("draft", "sandbox"):
            served = self._served.get(agent_id)
            if served is not None and served.account_id == account_id:
                return served.deployment
            if "draft" in active:
                return active["draft"]
        raise DraftNotFound(f"Nothing is deployed to {env} for agent {agent_id!r}; use clientEnv sandbox or draft.")


def environment_of(text: str) -> Environment:
    for environment in ENVIRONMENTS:
        if text == environment:
            return environment
    raise Invalid(
        f"clientEnv is {text[:40]!r}; it should be one of sandbox, pre-release, live, or draft for the folder as it is."
    )
