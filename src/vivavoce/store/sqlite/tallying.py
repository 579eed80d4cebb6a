"""Counts by day: added to, and read."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from vivavoce.domain.conversation import Conversation
from vivavoce.domain.record import Page, Position
from vivavoce.domain.tally import Part, Tally, added
from vivavoce.store.sqlite.finding import LAST
from vivavoce.store.sqlite.places import SQL, known_scope
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

    async def untallied(self, *, after: Position | None = None, limit: int) -> Page:
        def read(c: sqlite3.Connection) -> Page:
            values = {"limit": limit + 1, "before": after.number if after is not None else LAST}
            rows = c.execute(SQL["untallied"], values).fetchall()
            items = [item for number, scope in rows[:limit] for item in self._read_listed(c, scope, [number])]
            return Page(items=items, next=Position(number=rows[limit - 1][0]) if len(rows) > limit else None)

        return await self._read(read)
