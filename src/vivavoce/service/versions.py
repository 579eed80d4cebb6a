"""Publishing, promoting and going back; what serves which environment, and what differs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeAlias

from vivavoce.domain.audit import Action
from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.conversation import Environment
from vivavoce.domain.deployment import Deployment, DeploymentKind, Tree
from vivavoce.domain.difference import FileDifference, differences
from vivavoce.domain.principal import Principal
from vivavoce.errors import Conflict, DraftNotFound, Invalid, NotFound, VivavoceError
from vivavoce.service.audit import Audit
from vivavoce.service.claims import Claims
from vivavoce.service.deployments import Deployments
from vivavoce.service.news import News
from vivavoce.store.interface import Store

log = logging.getLogger(__name__)

Stage: TypeAlias = Literal["sandbox", "pre-release", "live"]
STAGES: tuple[Stage, ...] = ("sandbox", "pre-release", "live")
CLAIM = "deployments"
MOST_LISTED = 1_000
SHORTEST_PREFIX = 6  # of a version, by which it may be called
MAX_MESSAGE = 2_000


class DeploymentNotFound(NotFound):
    code = "DEPLOYMENT_NOT_FOUND"


class AlreadyPublished(Conflict):
    code = "DEPLOYMENTS_ALREADY_PUBLISHED"


class InvalidEnvironment(Invalid):
    code = "DEPLOYMENTS_INVALID_ENVIRONMENT"


class Versions:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        deployments: Deployments,
        audit: Audit,
        claims: Claims,
        news: News,
        prepare: Callable[[str], Awaitable[object]],
    ) -> None:
        """`prepare` makes a tree ready to run, so that the first conversation on it does not wait."""
        self._store = store
        self._clock = clock
        self._random = random
        self._deployments = deployments
        self._audit = audit
        self._claims = claims
        self._prepare = prepare
        self._preparing: set[asyncio.Task[None]] = set()
        news.on("deployments", self._heard)

    async def close(self) -> None:
        for task in self._preparing:
            task.cancel()
        await asyncio.gather(*self._preparing, return_exceptions=True)

    # Reading.

    async def listed(
        self, principal: Principal, agent_id: str, environment: str, *, limit: int = MOST_LISTED
    ) -> Sequence[Deployment]:
        """Newest first; the first serves the environment."""
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        return await self._store.deployments(account_id, agent_id, _stage(environment), limit=limit)

    async def active(self, principal: Principal, agent_id: str) -> dict[Stage, Deployment | None]:
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        found = await self._deployments.active(account_id, agent_id)
        return {stage: found.get(stage) for stage in STAGES}

    async def get(self, principal: Principal, agent_id: str, name: str) -> Deployment:
        """By id, by the first digits of its version (the newest that has it), or by an environment, which is what serves it."""
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        return await self._find(principal, account_id, agent_id, name)

    async def files(self, principal: Principal, agent_id: str, name: str) -> tuple[Deployment, Tree]:
        """The folder of a version. Author code is in it, and what an author may have left there."""
        found = await self.get(principal, agent_id, name)
        return found, await self._tree(found)

    async def diff(
        self, principal: Principal, agent_id: str, name: str, against: str | None
    ) -> tuple[Deployment, Deployment | None, list[FileDifference]]:
        """What one version has changed since another. Without another it is what was published or promoted before it."""
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        after = await self._find(principal, account_id, agent_id, name)
        if against is not None:
            before: Deployment | None = await self._find(principal, account_id, agent_id, against)
        else:
            before = await self._before(account_id, agent_id, after)
        trees = await self._tree(before) if before is not None else None, await self._tree(after)
        return after, before, await asyncio.to_thread(differences, *trees)

    async def _before(self, account_id: str, agent_id: str, deployment: Deployment) -> Deployment | None:
        known = await self._store.deployments(account_id, agent_id, deployment.environment, limit=MOST_LISTED)
        ids = [each.id for each in known]
        older = known[ids.index(deployment.id) + 1 :] if deployment.id in ids else ()
        return next((each for each in older if each.tree != deployment.tree), None)

    # Changing.

    async def publish(
        self,
        principal: Principal,
        agent_id: str,
        *,
        by: str = "",
        message: str = "",
        environment: str | None = None,
        version: str | None = None,
    ) -> Deployment:
        """The draft as it is becomes what sandbox serves. With `version` only if the draft is that one."""
        account_id = await self._deployments.account_for(principal, agent_id, "admin")
        if environment not in (None, "sandbox"):
            raise InvalidEnvironment("What is published goes to sandbox first; promote it from there.")
        async with self._claims.hold(CLAIM, account_id, agent_id):
            draft = await self._deployments.resolve(principal, agent_id, "draft")
            if version is not None and not draft.tree.startswith(version):
                raise Conflict(
                    f"The draft that the server has is {draft.version[:9]}, not {version[:9]}: the folder has changed,"
                    " and was not loaded yet or has errors. Look at `vivavoce validate`, then publish again."
                )
            current = (await self._deployments.active(account_id, agent_id)).get("sandbox")
            if current is not None and current.tree == draft.tree:
                raise AlreadyPublished(f"Sandbox serves this version already: {draft.version[:9]}.")
            return await self._add(principal, draft, "sandbox", "publish", by, message)

    async def publish_tree(
        self, principal: Principal, account_id: str, agent_id: str, tree: Tree, *, by: str = "", message: str = ""
    ) -> Deployment:
        """For who may do it already: a stored tree becomes what sandbox serves. What serves there already stays."""
        async with self._claims.hold(CLAIM, account_id, agent_id):
            active = await self._deployments.active(account_id, agent_id)
            if "sandbox" in active and active["sandbox"].tree == tree.hash:
                return active["sandbox"]
            draft = active.get("draft")
            source = Deployment(
                id=draft.id if draft is not None and draft.tree == tree.hash else "",
                account_id=account_id,
                agent_id=agent_id,
                environment="draft",
                tree=tree.hash,
                created_at=self._clock.now(),
            )
            return await self._add(principal, source, "sandbox", "publish", by, message)

    async def promote(
        self,
        principal: Principal,
        agent_id: str,
        name: str,
        *,
        target: str | None = None,
        by: str = "",
        message: str = "",
    ) -> Deployment:
        """It serves the target as well, which is the next environment where none is named. What serves there already
        stays as it is."""
        account_id = await self._deployments.account_for(principal, agent_id, "admin")
        async with self._claims.hold(CLAIM, account_id, agent_id):
            deployment = await self._find(principal, account_id, agent_id, name)
            stage = _target(deployment, target)
            current = (await self._deployments.active(account_id, agent_id)).get(stage)
            if current is not None and current.tree == deployment.tree:
                return current
            return await self._add(principal, deployment, stage, "promotion", by, message)

    async def roll_back(
        self, principal: Principal, agent_id: str, name: str, *, by: str = "", message: str = ""
    ) -> Deployment:
        """An earlier deployment serves its environment again."""
        account_id = await self._deployments.account_for(principal, agent_id, "admin")
        async with self._claims.hold(CLAIM, account_id, agent_id):
            deployment = await self._find(principal, account_id, agent_id, name)
            if deployment.environment not in STAGES:
                raise InvalidEnvironment("The draft is the folder itself: change the folder, or publish it.")
            current = (await self._deployments.active(account_id, agent_id)).get(deployment.environment)
            if current is not None and current.tree == deployment.tree:
                raise AlreadyPublished(
                    f"{deployment.environment} serves this version already: {deployment.version[:9]}."
                )
            return await self._add(principal, deployment, deployment.environment, "rollback", by, message)

    async def _add(
        self, principal: Principal, source: Deployment, environment: str, kind: DeploymentKind, by: str, message: str
    ) -> Deployment:
        if len(message) > MAX_MESSAGE:
            raise Invalid(f"deploymentMessage may have {MAX_MESSAGE:,} characters.")
        await self._prepare(source.tree)
        actions: dict[DeploymentKind, Action] = {
            "publish": "deployment.publish",
            "promotion": "deployment.promote",
            "rollback": "deployment.roll_back",
        }
        deployment = Deployment(
            id=self._random.uuid(),
            account_id=source.account_id,
            agent_id=source.agent_id,
            environment=environment,
            tree=source.tree,
            created_at=self._clock.now(),
            kind=kind,
            created_by=by or principal.name,
            message=message,
            source=source.id or None,
            git_commit=source.git_commit,
        )
        await self._audit.note(
            principal,
            actions[kind],
            source.account_id,
            source.agent_id,
            environment=environment,
            version=source.version,
        )
        await self._deployments.add(deployment)
        return deployment

    # What is named.

    async def _find(self, principal: Principal, account_id: str, agent_id: str, name: str) -> Deployment:
        if name in (*STAGES, "draft"):
            try:
                return await self._deployments.resolve(principal, agent_id, name)
            except DraftNotFound as error:
                raise DeploymentNotFound(error.message) from None
        found = await self._store.deployment(account_id, agent_id, name)
        if found is not None:
            return found
        if len(name) >= SHORTEST_PREFIX:
            environments: tuple[Environment, ...] = ("live", "pre-release", "sandbox", "draft")
            for environment in environments:
                for each in await self._store.deployments(account_id, agent_id, environment, limit=MOST_LISTED):
                    if each.tree.startswith(name):
                        return each
        raise DeploymentNotFound(f"There is no deployment {name[:64]!r} of agent {agent_id!r}.")

    async def _tree(self, deployment: Deployment) -> Tree:
        tree = await self._store.get_tree(deployment.tree)
        if tree is None:
            raise DeploymentNotFound(f"The files of version {deployment.version[:9]} are no longer stored.")
        return tree

    # What other processes change.

    def _heard(self, names: tuple[str, ...] | None) -> None:
        if names is not None and len(names) == 2:
            task = asyncio.create_task(self._make_ready(*names))
            self._preparing.add(task)
            task.add_done_callback(self._preparing.discard)

    async def _make_ready(self, account_id: str, agent_id: str) -> None:
        """What another process has deployed will be asked for here as well."""
        try:
            active = await self._deployments.active(account_id, agent_id)
            for tree in {active[stage].tree for stage in STAGES if stage in active}:
                await self._prepare(tree)
        except VivavoceError as error:  # it is made ready when it is asked for
            log.warning("a deployment could not be made ready: agent=%s error=%s", agent_id, error.code)


def _stage(text: str) -> Stage:
    for stage in STAGES:
        if text == stage:
            return stage
    raise InvalidEnvironment(f"environment is {text[:40]!r}; it should be one of {', '.join(STAGES)}.")


def _target(deployment: Deployment, target: str | None) -> Stage:
    if deployment.environment not in STAGES:
        raise InvalidEnvironment("This is a draft; publish it first.")
    if target is not None:
        stage = _stage(target)
        if stage == "sandbox":
            raise InvalidEnvironment(
                "targetEnvironment should be pre-release or live; what is published goes to sandbox."
            )
        return stage
    place = STAGES.index(_stage(deployment.environment)) + 1
    if place == len(STAGES):
        raise InvalidEnvironment("It is live; there is nowhere further to promote it to.")
    return STAGES[place]
