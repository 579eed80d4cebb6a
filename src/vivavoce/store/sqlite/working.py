"""The table of background work: added, claimed by lease, settled."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from vivavoce.domain.conversation import Conversation
from vivavoce.domain.work import Waiting, Work
from vivavoce.store.interface import Claimed, StoreError
from vivavoce.store.sqlite import erasing
from vivavoce.store.sqlite.places import (
    SQL,
    Place,
    Placed,
    at,
    encode,
    moment,
)

_decode_head = msgspec.json.Decoder(Conversation).decode


class WorkRows(Placed):
    """Work of a conversation goes with it."""

    async def add_work(self, work: Sequence[Work]) -> None:
        await self._do(lambda c: self._add_work(c, work))

    def _add_work(self, c: sqlite3.Connection, work: Sequence[Work], place: Place | None = None) -> None:
        for item in work:
            values = {
                **self._work_name(c, item, place),
                "due_at": at(item.due_at),
                "attempts": item.attempts,
                "payload": encode(item.payload),
            }
            c.execute(SQL["add_work"], values)

    def _work_name(self, c: sqlite3.Connection, work: Work, place: Place | None = None) -> dict[str, Any]:
        number = 0
        if work.subject is not None:
            number = (place or self._placed_by(c, work.subject)).number
        return {"kind": work.kind, "key": work.key, "conversation": number}

    async def remove_work(self, work: Work) -> None:
        await self._do(lambda c: c.execute(SQL["remove_work"], self._work_name(c, work)) and None)

    async def claim_work(self, now: datetime, until: datetime, *, limit: int) -> Sequence[Claimed]:
        def write(c: sqlite3.Connection) -> list[Claimed]:
            c.execute(SQL["expire_replies"], {"now": at(now)})
            for (name,) in c.execute(SQL["expired_facts"], {"now": at(now)}).fetchall():
                erasing.remove_fact(c, name)
            found = []
            for row in c.execute(SQL["due_work"], {"now": at(now), "limit": limit}).fetchall():
                kind, key, number, due, attempts, payload, head, wrapped = row
                subject = None
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
                names = {"kind": kind, "key": key, "conversation": number}
                c.execute(SQL["lease_work"], {**names, "lease": lease, "until": at(until)})
                found.append(Claimed(work=work, lease=lease))
            return found

        return await self._do(write)

    async def finish_work(self, claimed: Claimed) -> None:
        await self._settle(claimed, "finish_work", {})

    async def retry_work(self, claimed: Claimed, due_at: datetime) -> None:
        await self._settle(claimed, "retry_work", {"due_at": at(due_at)})

    async def _settle(self, claimed: Claimed, statement: str, values: dict[str, Any]) -> None:
        def write(c: sqlite3.Connection) -> None:
            try:
                name = self._work_name(c, claimed.work)
            except StoreError:
                return  # the conversation was erased meanwhile, and its work with it
            c.execute(SQL[statement], {**name, "lease": claimed.lease, **values})

        await self._do(write)

    async def next_due(self) -> datetime | None:
        row = await self._read(lambda c: c.execute(SQL["next_due"]).fetchone())
        return moment(row[0]) if row and row[0] else None

    async def waiting(self, now: datetime) -> Sequence[Waiting]:
        rows = await self._read(lambda c: c.execute(SQL["waiting_work"], {"now": at(now)}).fetchall())
        return [
            Waiting(kind=kind, count=count, leased=leased or 0, most_attempts=most, next_due=moment(due))
            for kind, count, leased, most, due in rows
        ]
