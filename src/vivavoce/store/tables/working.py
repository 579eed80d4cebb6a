"""The table of background work: added, claimed by lease, settled."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from vivavoce.domain.conversation import Conversation
from vivavoce.domain.work import Waiting, Work
from vivavoce.store.interface import Claimed, StoreError
from vivavoce.store.tables import erasing
from vivavoce.store.tables.connection import Connection, moment
from vivavoce.store.tables.places import Place, Placed, encode

_decode_head = msgspec.json.Decoder(Conversation).decode


class WorkRows(Placed):
    """Work of a conversation goes with it."""

    async def add_work(self, work: Sequence[Work]) -> None:
        await self._do(lambda c: self._add_work(c, work))

    async def _add_work(self, c: Connection, work: Sequence[Work], place: Place | None = None) -> None:
        for item in work:
            values = {
                **await self._work_name(c, item, place),
                "due_at": item.due_at,
                "attempts": item.attempts,
                "payload": encode(item.payload),
            }
            await c.run("add_work", values)

    async def _work_name(self, c: Connection, work: Work, place: Place | None = None) -> dict[str, Any]:
        number = 0
        if work.subject is not None:
            number = (place or await self._placed_by(c, work.subject)).number
        return {"kind": work.kind, "key": work.key, "conversation": number}

    async def remove_work(self, work: Work) -> None:
        async def write(c: Connection) -> None:
            await c.run("remove_work", await self._work_name(c, work))

        await self._do(write)

    async def claim_work(self, now: datetime, until: datetime, *, limit: int) -> Sequence[Claimed]:
        async def write(c: Connection) -> list[Claimed]:
            await c.run("expire_replies", {"now": now})
            for (name,) in await c.all("expired_facts", {"now": now}):
                await erasing.remove_fact(c, name)
            found = []
            for row in await c.all("due_work", {"now": now, "limit": limit}):
                kind, key, number, due, attempts, payload, head, wrapped = row
                names = {"kind": kind, "key": key, "conversation": number}
                subject = None
                if number and head is None:  # its conversation was erased while it was added
                    await c.run("remove_work", names)
                    continue
                if head is not None:
                    subject = _decode_head(self._keyring.unwrap(wrapped).open(head, b"head")).subject
                work = Work(
                    kind=kind,
                    key=key,
                    subject=subject,
                    due_at=moment(due),
                    attempts=attempts + 1,
                    payload=msgspec.json.decode(payload),
                )
                lease = uuid.uuid4().hex
                await c.run("lease_work", {**names, "lease": lease, "until": until})
                found.append(Claimed(work=work, lease=lease))
            return found

        return await self._do(write)

    async def finish_work(self, claimed: Claimed) -> None:
        await self._settle(claimed, "finish_work", {})

    async def retry_work(self, claimed: Claimed, due_at: datetime) -> None:
        await self._settle(claimed, "retry_work", {"due_at": due_at})

    async def _settle(self, claimed: Claimed, statement: str, values: dict[str, Any]) -> None:
        async def write(c: Connection) -> None:
            try:
                name = await self._work_name(c, claimed.work)
            except StoreError:
                return  # the conversation was erased meanwhile, and its work with it
            await c.run(statement, {**name, "lease": claimed.lease, **values})

        await self._do(write)

    async def next_due(self) -> datetime | None:
        row = await self._read(lambda c: c.one("next_due"))
        return moment(row[0]) if row and row[0] else None

    async def waiting(self, now: datetime) -> Sequence[Waiting]:
        rows = await self._read(lambda c: c.all("waiting_work", {"now": now}))
        return [
            Waiting(kind=kind, count=count, leased=leased or 0, most_attempts=most, next_due=moment(due))
            for kind, count, leased, most, due in rows
        ]
