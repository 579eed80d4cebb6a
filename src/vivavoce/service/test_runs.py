"""Test runs as the field's client starts and reads them. The cases themselves are not run yet: a run says so of each."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import msgspec

from vivavoce.domain.branch import MAIN
from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.domain.test_run import TestResult, TestRun
from vivavoce.errors import Invalid, NotFound
from vivavoce.project.projection.rendering import test_cases
from vivavoce.service.branches import Branches
from vivavoce.service.deployments import Deployments
from vivavoce.store.interface import Store

TEST_RUN = "test_run"  # kind of facts
MOST_KEPT = 500  # runs of an agent; the oldest go
MAX_NAME = 200
NOT_RUN = "This server does not run test cases yet, so nothing was tried and nothing is known of it."


class TestRunNotFound(NotFound):
    code = "TEST_RUN_NOT_FOUND"


class TestCaseNotFound(NotFound):
    code = "TEST_CASE_NOT_FOUND"


class TestRuns:
    def __init__(
        self, store: Store, clock: Clock, random: Random, deployments: Deployments, branches: Branches
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._deployments = deployments
        self._branches = branches

    async def trigger(
        self,
        principal: Principal,
        agent_id: str,
        *,
        branch: str = MAIN,
        ids: Collection[str] | None = None,
        tags: Collection[str] | None = None,
        name: str = "",
        by: str = "",
    ) -> TestRun:
        """Of the cases with those ids or any of those tags; of all of the branch where neither is given."""
        account_id = await self._deployments.account_for(principal, agent_id, "write")
        if len(name) > MAX_NAME:
            raise Invalid(f"The name of a test run may have {MAX_NAME} characters.")
        found, tree = await self._branches.files(principal, agent_id, branch)
        cases = await asyncio.to_thread(test_cases, tree.files, found.ids)
        for id in ids or ():
            if id not in cases:
                raise TestCaseNotFound(
                    f"There is no test case {id[:64]!r} on branch {found.name!r}; pull, then try again."
                )
        chosen = {
            id: case
            for id, case in cases.items()
            if (ids is None or id in ids) and (tags is None or set(tags) & set(case.get("tags") or ()))
        }
        if not chosen:
            raise TestCaseNotFound(f"Branch {found.name!r} has no such test cases.")
        now = self._clock.now()
        run = TestRun(
            id=self._random.uuid(),
            branch=found.id,
            sequence=found.sequence,
            name=name.strip(),
            status="errored",
            started_at=now,
            started_by=by or principal.name,
            finished_at=now,
            results=tuple(
                TestResult(case_id=id, case=case, status="errored", reason=NOT_RUN) for id, case in chosen.items()
            ),
        )
        await self._put(account_id, agent_id, run)
        return run

    async def listed(self, principal: Principal, agent_id: str, *, branch: str | None = None) -> Sequence[TestRun]:
        """Newest first."""
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        return [run for run in await self._all(account_id, agent_id) if branch in (None, run.branch)]

    async def get(self, principal: Principal, agent_id: str, id: str) -> TestRun:
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        fact = await self._store.get_fact(account_id, agent_id, TEST_RUN, id, self._clock.now())
        if fact is None:
            raise TestRunNotFound(f"There is no test run {id[:64]!r} of agent {agent_id!r}.")
        return msgspec.convert(fact.body, TestRun)

    async def _all(self, account_id: str, agent_id: str) -> list[TestRun]:
        bodies = await self._store.facts(account_id, agent_id, TEST_RUN, self._clock.now())
        runs = [msgspec.convert(body, TestRun) for body in bodies]
        return sorted(runs, key=lambda run: (run.started_at, run.id), reverse=True)

    async def _put(self, account_id: str, agent_id: str, run: TestRun) -> None:
        fact = Fact(
            account_id=account_id,
            agent_id=agent_id,
            kind=TEST_RUN,
            key=run.id,
            body=msgspec.to_builtins(run),
            at=run.started_at,
        )
        await self._store.put_fact(fact)
        for old in (await self._all(account_id, agent_id))[MOST_KEPT:]:
            await self._store.remove_fact(account_id, agent_id, TEST_RUN, old.id)
