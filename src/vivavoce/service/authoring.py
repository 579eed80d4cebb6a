"""Changing an agent part by part, on a branch: the same files that its author edits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from vivavoce.domain.parts import AttributePart, TopicPart, VariantPart
from vivavoce.domain.principal import Principal
from vivavoce.project import editing
from vivavoce.project.editing import Files
from vivavoce.service.branches import Branches


class Authoring:
    """Every method names the agent and the branch; `by` is whoever does it."""

    def __init__(self, branches: Branches) -> None:
        self._branches = branches

    async def _edit(
        self,
        place: tuple[Principal, str, str],
        change: Callable[[Files, Mapping[str, str]], Files],
        by: str,
        message: str,
        ids: Mapping[str, str] | None = None,
    ) -> None:
        """`ids` are those that the change keeps for places which are new."""
        await self._branches.edit(
            *place, lambda files, known: (change(files, known), {**known, **(ids or {})}), by=by, message=message
        )

    async def _read(self, principal: Principal, agent_id: str, branch: str) -> tuple[Files, Mapping[str, str]]:
        found, tree = await self._branches.files(principal, agent_id, branch)
        return tree.files, found.ids

    # Behaviour.

    async def behaviour(self, principal: Principal, agent_id: str, branch: str) -> str:
        return editing.behaviour((await self._read(principal, agent_id, branch))[0])

    async def put_behaviour(self, principal: Principal, agent_id: str, branch: str, text: str, *, by: str) -> str:
        await self._edit(
            (principal, agent_id, branch), lambda files, _: editing.with_behaviour(files, text), by, "behaviour"
        )
        return text

    # Topics.

    async def topics(self, principal: Principal, agent_id: str, branch: str) -> list[TopicPart]:
        return await asyncio.to_thread(editing.topics, *await self._read(principal, agent_id, branch))

    async def topic(self, principal: Principal, agent_id: str, branch: str, id: str) -> TopicPart:
        files, ids = await self._read(principal, agent_id, branch)
        return await asyncio.to_thread(editing.topic, files, ids, id)

    async def create_topic(
        self, principal: Principal, agent_id: str, branch: str, *, by: str, name: str, **fields: Any
    ) -> TopicPart:
        made = ""

        def change(files: Files, ids: Mapping[str, str]) -> Files:
            nonlocal made
            changed, path = editing.with_topic(files, ids, name=name, **fields)
            made = editing.id_of("TOPICS", path, ids)
            return changed

        await self._edit((principal, agent_id, branch), change, by, f"topic {name}")
        return await self.topic(principal, agent_id, branch, made)

    async def change_topic(
        self, principal: Principal, agent_id: str, branch: str, id: str, changes: Mapping[str, Any], *, by: str
    ) -> None:
        """`changes` are fields of its file with their new values."""
        await self._edit(
            (principal, agent_id, branch),
            lambda files, ids: editing.with_changed_topic(files, ids, id, changes),
            by,
            f"topic {id}",
        )

    async def remove_topic(self, principal: Principal, agent_id: str, branch: str, id: str, *, by: str) -> None:
        await self._edit(
            (principal, agent_id, branch),
            lambda files, ids: editing.without_topic(files, ids, id),
            by,
            f"topic {id} removed",
        )

    # Variants and attributes. Their ids are those of the names that they began with, so a new name is told of.

    async def variants(self, principal: Principal, agent_id: str, branch: str) -> list[VariantPart]:
        return editing.variants(*await self._read(principal, agent_id, branch))

    async def create_variant(
        self,
        principal: Principal,
        agent_id: str,
        branch: str,
        *,
        by: str,
        name: str,
        values: Mapping[str, str],
        is_default: bool,
    ) -> VariantPart:
        await self._edit(
            (principal, agent_id, branch),
            lambda files, ids: editing.with_variant(files, ids, name=name, values=values, is_default=is_default),
            by,
            f"variant {name}",
        )
        return next(v for v in await self.variants(principal, agent_id, branch) if v.name == name)

    async def change_variant(
        self,
        principal: Principal,
        agent_id: str,
        branch: str,
        id: str,
        *,
        by: str,
        name: str | None,
        values: Mapping[str, str] | None,
        is_default: bool | None,
    ) -> VariantPart:
        files, ids = await self._read(principal, agent_id, branch)
        before = editing.variant(files, ids, id)
        new = name or before.name
        await self._edit(
            (principal, agent_id, branch),
            lambda files, ids: editing.with_changed_variant(
                files, ids, id, name=name, values=values, is_default=is_default
            ),
            by,
            f"variant {before.name}",
            {editing.variant_place(new): id} if new != before.name else None,
        )
        return next(v for v in await self.variants(principal, agent_id, branch) if v.id == id)

    async def remove_variant(self, principal: Principal, agent_id: str, branch: str, id: str, *, by: str) -> None:
        await self._edit(
            (principal, agent_id, branch),
            lambda files, ids: editing.without_variant(files, ids, id),
            by,
            f"variant {id} removed",
        )

    async def attributes(self, principal: Principal, agent_id: str, branch: str) -> list[AttributePart]:
        return editing.attributes(*await self._read(principal, agent_id, branch))

    async def create_attribute(
        self, principal: Principal, agent_id: str, branch: str, name: str, *, by: str
    ) -> AttributePart:
        await self._edit(
            (principal, agent_id, branch),
            lambda files, ids: editing.with_attribute(files, ids, name),
            by,
            f"attribute {name}",
        )
        return next(a for a in await self.attributes(principal, agent_id, branch) if a.name == name)

    async def rename_attribute(
        self, principal: Principal, agent_id: str, branch: str, id: str, name: str, *, by: str
    ) -> AttributePart:
        await self._edit(
            (principal, agent_id, branch),
            lambda files, ids: editing.with_renamed_attribute(files, ids, id, name),
            by,
            f"attribute {name}",
            {editing.attribute_place(name): id},
        )
        return next(a for a in await self.attributes(principal, agent_id, branch) if a.id == id)

    async def remove_attribute(self, principal: Principal, agent_id: str, branch: str, id: str, *, by: str) -> None:
        await self._edit(
            (principal, agent_id, branch),
            lambda files, ids: editing.without_attribute(files, ids, id),
            by,
            f"attribute {id} removed",
        )
