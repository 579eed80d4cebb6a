"""Branches of an agent: stored trees that change step by step. `main` is the draft: the folder as it is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vivavoce.domain.audit import Action
from vivavoce.domain.branch import MAIN, Branch, Step, StepKind
from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.deployment import Deployment, Tree
from vivavoce.domain.fact import Fact
from vivavoce.domain.merging import MISSING, Resolution
from vivavoce.domain.merging import Conflict as Difference
from vivavoce.domain.principal import Permission, Principal
from vivavoce.engine.tools import is_plain
from vivavoce.errors import Conflict, DraftNotFound, Invalid, NotFound, VivavoceError
from vivavoce.project import merging
from vivavoce.project.editing import Files
from vivavoce.project.loader import load
from vivavoce.project.projection.rendering import living
from vivavoce.project.tree import check_sizes, tree_hash
from vivavoce.service.audit import Audit
from vivavoce.service.claims import Claims
from vivavoce.service.deployments import Deployments
from vivavoce.service.versions import Versions
from vivavoce.store.interface import Store

BRANCH, STEP = "branch", "branch_step"  # kinds of facts
CLAIM = "branches"
MAX_NAME = 100
MOST_BRANCHES = 200  # of an agent, without those that are archived
MERGED = "Branch merged to main and deployed to sandbox"
# From a copy of the files and the ids that were chosen for places in them to both as they are to be.
Change: TypeAlias = Callable[[Files, Mapping[str, str]], tuple[Files, Mapping[str, str]]]


class BranchNotFound(NotFound):
    code = "BRANCH_NOT_FOUND"


class BranchNameTaken(Conflict):
    code = "BRANCH_NAME_ALREADY_EXISTS"


class SequenceConflict(Conflict):
    """Somebody else has changed the branch since."""

    code = "BRANCH_SEQUENCE_CONFLICT"


class MainBranch(VivavoceError):
    code = "BRANCH_IS_MAIN"
    status = 422


class Merged(Struct, frozen=True, kw_only=True):
    """`conflicts` left: nothing was merged."""

    sequence: int
    conflicts: Sequence[Difference] = ()


class Branches:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        deployments: Deployments,
        versions: Versions,
        audit: Audit,
        claims: Claims,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._deployments = deployments
        self._versions = versions
        self._audit = audit
        self._claims = claims

    # Reading.

    async def listed(self, principal: Principal, agent_id: str, *, archived: bool = False) -> list[Branch]:
        """In order of age; `main` first."""
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        found = [
            branch for branch in await self._all(account_id, agent_id) if (branch.archived_at is not None) == archived
        ]
        found.sort(key=lambda branch: branch.created_at)
        return found if archived else [await self._main(account_id, agent_id), *found]

    async def get(self, principal: Principal, agent_id: str, id: str) -> Branch:
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        return await self._branch(account_id, agent_id, id)

    async def files(
        self, principal: Principal, agent_id: str, id: str, *, at: int | None = None
    ) -> tuple[Branch, Tree]:
        """The tree of a branch, now or as it was after a step."""
        branch = await self.get(principal, agent_id, id)
        if at is None or at == branch.sequence:
            return branch, await self._tree(branch.tree)
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        step = await self._step(account_id, agent_id, id, at)
        if step is None:
            raise BranchNotFound(f"Branch {branch.name!r} has no step {at}; its last one is {branch.sequence}.")
        return branch, await self._tree(step.tree)

    async def history(self, principal: Principal, agent_id: str, id: str) -> list[Step]:
        """Oldest first."""
        branch = await self.get(principal, agent_id, id)
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        found = await self._store.facts(account_id, agent_id, STEP, self._clock.now())
        steps = [msgspec.convert(body, Step) for body in found]
        return sorted((s for s in steps if s.branch == id and s.sequence <= branch.sequence), key=lambda s: s.sequence)

    async def to_try(self, principal: Principal, agent_id: str, id: str, *, expected: int | None = None) -> Deployment:
        """What a draft chat on the branch as it is now begins on."""
        account_id = await self._deployments.account_for(principal, agent_id, "chat")
        branch = await self._branch(account_id, agent_id, id)
        _check_sequence(branch, expected)
        environment = f"branch {branch.id}"
        known = await self._store.deployments(account_id, agent_id, environment, limit=1)
        if known and known[0].tree == branch.tree:
            return known[0]
        deployment = Deployment(
            id=self._random.uuid(),
            account_id=account_id,
            agent_id=agent_id,
            environment=environment,
            tree=branch.tree,
            created_at=self._clock.now(),
            message=branch.name,
        )
        await self._store.add_deployment(deployment)
        return deployment

    # Changing.

    async def create(
        self,
        principal: Principal,
        agent_id: str,
        name: str,
        *,
        by: str,
        source: str = MAIN,
        expected: int | None = None,
    ) -> Branch:
        """A copy of another branch as it is now. `expected` is the last step of that one which the caller knows."""
        account_id = await self._deployments.account_for(principal, agent_id, "write")
        name = _checked_name(name)
        async with self._claims.hold(CLAIM, account_id, agent_id):
            parent = await self._branch(account_id, agent_id, source)
            _check_sequence(parent, expected)
            await self._seen(account_id, agent_id, parent)
            known = [branch for branch in await self._all(account_id, agent_id) if branch.archived_at is None]
            if name == MAIN or any(branch.name == name for branch in known):
                raise BranchNameTaken(f"There is a branch {name!r} already.")
            if len(known) >= MOST_BRANCHES:
                raise Invalid(f"An agent may have {MOST_BRANCHES} branches; delete one.")
            now = self._clock.now()
            branch = Branch(
                id=f"BRANCH-{self._random.uuid().replace('-', '')[:8].upper()}",
                name=name,
                tree=parent.tree,
                sequence=parent.sequence,
                parent=parent.id,
                parent_sequence=parent.sequence,
                base=parent.tree,
                base_ids=parent.ids,
                created_at=now,
                created_by=by,
                updated_at=now,
                ids=parent.ids,
            )
            await self._keep(account_id, agent_id, branch, "create", by)
            await self._note(principal, "branch.create", account_id, agent_id, branch)
            return branch

    async def edit(
        self,
        principal: Principal,
        agent_id: str,
        id: str,
        change: Change,
        *,
        by: str,
        message: str = "",
        expected: int | None = None,
    ) -> Branch:
        """The branch after a change of its files, which must not bring errors into the folder that were not there.
        `change` may raise a VivavoceError."""
        account_id = await self._deployments.account_for(principal, agent_id, "write")
        if id == MAIN:
            raise MainBranch("Cannot directly update main branch; make a branch, change that, and merge it.")
        async with self._claims.hold(CLAIM, account_id, agent_id):
            branch = await self._branch(account_id, agent_id, id)
            _check_sequence(branch, expected)
            before = await self._tree(branch.tree)
            after, ids = await asyncio.to_thread(_changed, before, branch.ids, change)
            if after.hash == before.hash and ids == branch.ids:
                return branch
            await self._store.put_tree(after)
            changed = replace(branch, tree=after.hash, ids=ids)
            changed = await self._next(account_id, agent_id, changed, "edit", by, message)
            await self._note(principal, "branch.change", account_id, agent_id, branch)
            return changed

    async def rename(self, principal: Principal, agent_id: str, id: str, name: str) -> Branch:
        name = _checked_name(name)
        async with self._own(principal, agent_id, id) as (account_id, branch):
            if name == MAIN or any(b.name == name and b.id != id for b in await self._all(account_id, agent_id)):
                raise BranchNameTaken(f"There is a branch {name!r} already.")
            return await self._put(account_id, agent_id, replace(branch, name=name))

    async def tag(self, principal: Principal, agent_id: str, id: str, tag: str | None) -> Branch:
        if tag is not None and not 0 < len(tag) <= MAX_NAME:
            raise Invalid(f"A tag should have 1 to {MAX_NAME} characters.")
        async with self._own(principal, agent_id, id) as (account_id, branch):
            return await self._put(account_id, agent_id, replace(branch, tag=tag))

    async def archive(self, principal: Principal, agent_id: str, id: str, *, expected: int | None = None) -> Branch:
        """It is kept, and can be had back."""
        async with self._own(principal, agent_id, id) as (account_id, branch):
            _check_sequence(branch, expected)
            await self._note(principal, "branch.remove", account_id, agent_id, branch)
            return await self._put(account_id, agent_id, replace(branch, archived_at=self._clock.now()))

    async def restore(self, principal: Principal, agent_id: str, id: str) -> Branch:
        account_id = await self._deployments.account_for(principal, agent_id, "write")
        async with self._claims.hold(CLAIM, account_id, agent_id):
            branch = await self._known(account_id, agent_id, id)
            if branch is None or branch.archived_at is None:
                raise BranchNotFound(f"There is no branch {id[:64]!r} in the archive.")
            if any(b.name == branch.name and b.archived_at is None for b in await self._all(account_id, agent_id)):
                raise BranchNameTaken(f"There is a branch {branch.name!r} by now; rename that one first.")
            return await self._put(account_id, agent_id, replace(branch, archived_at=None))

    async def forget(self, account_id: str, agent_id: str) -> None:
        """Of an agent that is removed; whoever calls has asked whether it may be."""
        async with self._claims.hold(CLAIM, account_id, agent_id):
            now = self._clock.now()
            for body in await self._store.facts(account_id, agent_id, STEP, now):
                step = msgspec.convert(body, Step)
                await self._store.remove_fact(account_id, agent_id, STEP, f"{step.branch}/{step.sequence}")
            for body in await self._store.facts(account_id, agent_id, BRANCH, now):
                await self._store.remove_fact(account_id, agent_id, BRANCH, msgspec.convert(body, Branch).id)

    # Merging.

    async def merge(
        self,
        principal: Principal,
        agent_id: str,
        id: str,
        *,
        by: str,
        message: str = "",
        resolutions: Sequence[Resolution] = (),
        expected: int | None = None,
    ) -> Merged:
        """Into its parent. What comes to main is deployed to sandbox."""
        async with self._own(principal, agent_id, id, "admin") as (account_id, branch):
            _check_sequence(branch, expected)
            parent = await self._branch(account_id, agent_id, branch.parent or MAIN)
            await self._seen(account_id, agent_id, parent)
            merged, conflicts = await self._together(branch.base, parent.tree, branch.tree, resolutions)
            if conflicts:
                return Merged(sequence=branch.sequence, conflicts=conflicts)
            await self._store.put_tree(merged)
            ids = await asyncio.to_thread(living, merged.files, _ids_together(branch, parent.ids, branch.ids))
            if parent.id == MAIN:
                parent = await self._into_main(principal, account_id, agent_id, parent, merged, by, message)
                parent = replace(parent, ids=ids)
            else:
                parent = replace(parent, tree=merged.hash, ids=ids)
            parent = await self._next(account_id, agent_id, parent, "merge", by, message, other=branch.name)
            branch = replace(
                branch, tree=merged.hash, base=merged.hash, parent_sequence=parent.sequence, ids=ids, base_ids=ids
            )
            await self._next(account_id, agent_id, branch, "merge", by, message, other=branch.name)
            await self._note(principal, "branch.merge", account_id, agent_id, branch)
            return Merged(sequence=parent.sequence)

    async def sync(
        self,
        principal: Principal,
        agent_id: str,
        id: str,
        *,
        by: str,
        resolutions: Sequence[Resolution] = (),
        expected: int | None = None,
    ) -> Merged:
        """What has happened in its parent since comes into the branch, whose own side is `ours`: it is the target."""
        async with self._own(principal, agent_id, id) as (account_id, branch):
            _check_sequence(branch, expected)
            parent = await self._branch(account_id, agent_id, branch.parent or MAIN)
            await self._seen(account_id, agent_id, parent)
            merged, conflicts = await self._together(branch.base, branch.tree, parent.tree, resolutions)
            if conflicts:
                return Merged(sequence=branch.sequence, conflicts=conflicts)
            await self._store.put_tree(merged)
            branch = replace(
                branch,
                tree=merged.hash,
                base=parent.tree,
                parent_sequence=parent.sequence,
                ids=await asyncio.to_thread(living, merged.files, _ids_together(branch, branch.ids, parent.ids)),
                base_ids=parent.ids,
            )
            branch = await self._next(account_id, agent_id, branch, "sync", by, "", other=parent.name)
            return Merged(sequence=branch.sequence)

    async def _together(
        self, base: str, ours: str, theirs: str, resolutions: Sequence[Resolution]
    ) -> tuple[Tree, list[Difference]]:
        if not all(is_plain(resolution.value) for resolution in resolutions if resolution.value is not MISSING):
            raise Invalid(
                "The value of a resolution may be nested 32 levels deep, with whole numbers of at most 64 bits."
            )
        trees = [await self._tree(hash) for hash in (base, ours, theirs)]
        before, mine, other = (tree.files for tree in trees)
        files, conflicts = await asyncio.to_thread(merging.merge, before, mine, other, resolutions)
        merged = Tree(hash=tree_hash(files), files=files)
        if not conflicts:
            await asyncio.to_thread(_check, merged, *trees[1:])
        return merged, conflicts

    async def _into_main(
        self, principal: Principal, account_id: str, agent_id: str, main: Branch, merged: Tree, by: str, message: str
    ) -> Branch:
        """The folder first: where it cannot be written, nothing is merged."""
        if merged.hash != main.tree:
            if self._deployments.served_draft(account_id, agent_id) is not None:
                await self._deployments.rewrite(account_id, agent_id, main.tree, merged)
            else:
                await self._deployments.put_draft(account_id, agent_id, merged)
        await self._versions.publish_tree(principal, account_id, agent_id, merged, by=by, message=message)
        return replace(main, tree=merged.hash)

    # Rows.

    @asynccontextmanager
    async def _own(
        self, principal: Principal, agent_id: str, id: str, permission: Permission = "write"
    ) -> AsyncIterator[tuple[str, Branch]]:
        """(account, branch), held while it is changed."""
        account_id = await self._deployments.account_for(principal, agent_id, permission)
        if id == MAIN:
            raise MainBranch("This cannot be done to the main branch.")
        async with self._claims.hold(CLAIM, account_id, agent_id):
            yield account_id, await self._branch(account_id, agent_id, id)

    async def _all(self, account_id: str, agent_id: str) -> list[Branch]:
        """Without main."""
        found = await self._store.facts(account_id, agent_id, BRANCH, self._clock.now())
        return [branch for body in found if (branch := msgspec.convert(body, Branch)).id != MAIN]

    async def _known(self, account_id: str, agent_id: str, id: str) -> Branch | None:
        fact = await self._store.get_fact(account_id, agent_id, BRANCH, id, self._clock.now())
        return msgspec.convert(fact.body, Branch) if fact is not None else None

    async def _branch(self, account_id: str, agent_id: str, id: str) -> Branch:
        if id == MAIN:
            return await self._main(account_id, agent_id)
        branch = await self._known(account_id, agent_id, id)
        if branch is None or branch.archived_at is not None:
            raise BranchNotFound(f"There is no branch {id[:64]!r} of agent {agent_id!r}.")
        return branch

    async def _main(self, account_id: str, agent_id: str) -> Branch:
        """The draft as it is now. A change of it that nobody has gone on from is its next step, which is kept with the first
        change that is made of it: reading writes nothing."""
        draft = await self._draft(account_id, agent_id)
        known = await self._known(account_id, agent_id, MAIN)
        if known is None:
            return Branch(
                id=MAIN,
                name=MAIN,
                tree=draft.tree,
                sequence=1,
                created_at=draft.created_at,
                created_by=draft.created_by,
                updated_at=draft.created_at,
            )
        if known.tree == draft.tree:
            return known
        return replace(known, tree=draft.tree, sequence=known.sequence + 1, updated_at=draft.created_at)

    async def _seen(self, account_id: str, agent_id: str, branch: Branch) -> None:
        """A step of main that somebody goes on from is kept."""
        if branch.id == MAIN and await self._step(account_id, agent_id, MAIN, branch.sequence) is None:
            await self._keep(account_id, agent_id, branch, "folder", "")

    async def _draft(self, account_id: str, agent_id: str) -> Deployment:
        served = self._deployments.served_draft(account_id, agent_id)
        draft = served or (await self._deployments.active(account_id, agent_id)).get("draft")
        if draft is None:
            raise DraftNotFound(f"Agent {agent_id!r} has no draft.")
        return draft

    async def _tree(self, hash: str) -> Tree:
        tree = await self._store.get_tree(hash)
        if tree is None:
            raise BranchNotFound("The files of the branch are no longer stored.")
        return tree

    async def _step(self, account_id: str, agent_id: str, id: str, sequence: int) -> Step | None:
        fact = await self._store.get_fact(account_id, agent_id, STEP, f"{id}/{sequence}", self._clock.now())
        return msgspec.convert(fact.body, Step) if fact is not None else None

    async def _next(
        self, account_id: str, agent_id: str, branch: Branch, kind: StepKind, by: str, message: str, *, other: str = ""
    ) -> Branch:
        branch = replace(branch, sequence=branch.sequence + 1, updated_at=self._clock.now())
        return await self._keep(account_id, agent_id, branch, kind, by, message, other)

    async def _keep(
        self,
        account_id: str,
        agent_id: str,
        branch: Branch,
        kind: StepKind,
        by: str,
        message: str = "",
        other: str = "",
    ) -> Branch:
        """The step before the branch: what the branch says was its last one is always there."""
        step = Step(
            branch=branch.id,
            sequence=branch.sequence,
            tree=branch.tree,
            kind=kind,
            at=branch.updated_at,
            by=by,
            message=message,
            other=other,
        )
        await self._put_fact(account_id, agent_id, STEP, f"{branch.id}/{branch.sequence}", step)
        return await self._put(account_id, agent_id, branch)

    async def _put(self, account_id: str, agent_id: str, branch: Branch) -> Branch:
        await self._put_fact(account_id, agent_id, BRANCH, branch.id, branch)
        return branch

    async def _put_fact(self, account_id: str, agent_id: str, kind: str, key: str, value: Any) -> None:
        fact = Fact(
            account_id=account_id,
            agent_id=agent_id,
            kind=kind,
            key=key,
            body=msgspec.to_builtins(value),
            at=self._clock.now(),
        )
        await self._store.put_fact(fact)

    async def _note(self, principal: Principal, action: Action, account_id: str, agent_id: str, branch: Branch) -> None:
        await self._audit.note(principal, action, account_id, agent_id, branch=branch.id)


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise Invalid(f"The name of a branch should have 1 to {MAX_NAME} characters.")
    return name


def _ids_together(branch: Branch, target: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """As the files are merged: what only one side has changed since the base is taken, and `other` where both have."""
    base = branch.base_ids
    if base is None:
        return {**target, **other}
    changed = {place for place in {*base, *other} if base.get(place) != other.get(place)}
    kept = {place: id for place, id in target.items() if place not in changed}
    return {**kept, **{place: id for place, id in other.items() if place in changed}}


def _check_sequence(branch: Branch, expected: int | None) -> None:
    if expected is not None and expected != branch.sequence:
        raise SequenceConflict(
            f"Branch {branch.name!r} is at {branch.sequence}, not at {expected}: somebody has changed it since. Pull, then try again."
        )


def _changed(before: Tree, ids: Mapping[str, str], change: Change) -> tuple[Tree, dict[str, str]]:
    files, chosen = change(dict(before.files), ids)
    after = Tree(hash=tree_hash(files), files=files)
    _check(after, before)
    return after, dict(chosen)


def _check(after: Tree, *before: Tree) -> None:
    """Raises Invalid for errors that the trees before did not have, and for a folder that could not be read."""
    check_sizes(after.files)
    errors = load(after).errors
    if not errors:
        return
    known = {(fault.path, fault.code, fault.message) for tree in before for fault in load(tree).errors}
    for fault in errors:
        if (fault.path, fault.code, fault.message) not in known:
            raise Invalid(f"The agent would have an error: {fault.path}:{fault.line}: {fault.message}")
