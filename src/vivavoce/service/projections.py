"""Agents as the field's command-line client pulls and pushes them: a branch as one document, and batches of commands for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from vivavoce.domain.branch import Branch
from vivavoce.domain.principal import Principal
from vivavoce.domain.pushed import Batch
from vivavoce.errors import NotFound
from vivavoce.project.editing import Files
from vivavoce.project.projection.commands import applying
from vivavoce.project.projection.rendering import render, written
from vivavoce.service.branches import Branches
from vivavoce.service.versions import Versions

TEMPLATES = {"small-agent": "Answers two questions and takes a message: what a new agent begins with."}  # by name


class TemplateNotFound(NotFound):
    code = "TEMPLATE_NOT_FOUND"


AT_ONCE = 2  # large folders take seconds of the interpreter and a thread of those that all share


class Projections:
    def __init__(self, branches: Branches, versions: Versions, template: Callable[[str], Files]) -> None:
        """`template(agent id)` is the folder with which an agent begins."""
        self._lane = asyncio.Semaphore(AT_ONCE)
        self._branches = branches
        self._versions = versions
        self._template = template

    async def of_branch(
        self, principal: Principal, agent_id: str, branch: str, *, at: int | None = None
    ) -> tuple[int, dict[str, Any]]:
        """(the step that it shows, the projection): the last step, or an earlier one."""
        found, tree = await self._branches.files(principal, agent_id, branch, at=at)
        return found.sequence if at is None else at, await self._rendered(tree.files, found.ids)

    async def of_deployment(self, principal: Principal, agent_id: str, name: str) -> dict[str, Any]:
        _, tree = await self._versions.files(principal, agent_id, name)
        main = await self._branches.get(principal, agent_id, "main")
        return await self._rendered(tree.files, main.ids)

    async def of_template(self, name: str) -> dict[str, Any]:
        if name not in TEMPLATES:
            raise TemplateNotFound(f"There is no template {name[:64]!r}; there are: {', '.join(TEMPLATES)}.")
        return await self._rendered(self._template(name), {})

    async def push(
        self, principal: Principal, agent_id: str, branch: str, read: Callable[[], Batch], *, by: str
    ) -> Branch:
        """All of the batch that `read` gives or nothing. Raises SequenceConflict where somebody has changed the branch since."""
        async with self._lane:
            batch = await asyncio.to_thread(read)

            def change(files: Files, ids: Mapping[str, str]) -> tuple[Files, Mapping[str, str]]:
                before = render(files, ids)
                return written(files, ids, before, applying.apply(before.projection, batch.commands))

            message = f"pushed {len(batch.commands)} change{'' if len(batch.commands) == 1 else 's'}"
            return await self._branches.edit(
                principal, agent_id, branch, change, by=by, message=message, expected=batch.sequence
            )

    async def _rendered(self, files: Mapping[str, bytes], ids: Mapping[str, str]) -> dict[str, Any]:
        async with self._lane:
            return (await asyncio.to_thread(render, files, ids)).projection
