"""Counts by day: added to, and read."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from vivavoce.domain.conversation import Conversation
from vivavoce.domain.record import Listed
from vivavoce.domain.tally import Part, Tally, Waiting, added
from vivavoce.store.sqlite.finding import LAST, microseconds
from vivavoce.store.sqlite.places import SQL, at, known_scope, moment
from vivavoce.store.sqlite.reading import Reading

_decode_counts = msgspec.msgpack.Decoder(dict[str, int]).decode


class Tallying(Reading):
    """A conversation is counted once, in the transaction that marks it as counted."""

    async def tally(self, conversation: Conversation, day: str, counts: Mapping[Part, Mapping[str, int]]) -> bool:
        name = self._name(conversation.subject)

        def write(c: sqlite3.Connection) -> bool:
            row = c.execute(SQL["find_conversation"], {"name": name}).fetchone()
            if row is None or c.execute(SQL["mark_tallied"], {"number": row[0]}).fetchone() is None:
                return False
            for part, more in counts.items():
                place = {"scope": row[1], "part": part, "day": day, "environment": conversation.environment}
                known = c.execute(SQL["get_tally"], place).fetchone()
                total = added((_decode_counts(known[0]), more)) if known is not None else dict(more)
                c.execute(SQL["put_tally"], {**place, "body": msgspec.msgpack.encode(total)})
            return True

        return await self._do(write)

    async def tallies(self, account_id: str, agent_id: str, part: Part, first: str, last: str) -> list[Tally]:
        def read(c: sqlite3.Connection) -> list[Tally]:
            values = {"scope": known_scope(c, account_id, agent_id), "part": part, "first": first, "last": last}
            return [
                Tally(day=day, environment=environment, counts=_decode_counts(body))
                for day, environment, body in c.execute(SQL["get_tallies"], values)
            ]

        return await self._read(read)

    async def untallied(self, *, before: datetime | None, limit: int) -> list[Listed]:
        def read(c: sqlite3.Connection) -> list[Listed]:
            values = {"limit": limit, "before": microseconds(before) if before is not None else LAST}
            rows = c.execute(SQL["untallied"], values).fetchall()
            return [item for number, scope in rows for item in self._read_listed(c, scope, [number])]

        return await self._read(read)

    async def waiting(self, now: datetime) -> Sequence[Waiting]:
        rows = await self._read(lambda c: c.execute(SQL["waiting_work"], {"now": at(now)}).fetchall())
        return [
            Waiting(kind=kind, count=count, leased=leased or 0, most_attempts=most, next_due=moment(due))
            for kind, count, leased, most, due in rows
        ]
