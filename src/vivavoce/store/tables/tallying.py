"""Counts by day: added to, and read."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from vivavoce.domain.conversation import Conversation
from vivavoce.domain.record import Page, Position
from vivavoce.domain.tally import Part, Tally, added
from vivavoce.store.tables.connection import Connection
from vivavoce.store.tables.matching import LAST
from vivavoce.store.tables.places import known_scope
from vivavoce.store.tables.reading import Reading

_decode_counts = msgspec.msgpack.Decoder(dict[str, int]).decode


class Tallying(Reading):
    """A conversation is counted once, in the transaction that marks it as counted."""

    async def tally(self, conversation: Conversation, day: str, counts: Mapping[Part, Mapping[str, int]]) -> bool:
        name = self._name(conversation.subject)

        async def write(c: Connection) -> bool:
            row = await c.one("find_conversation", {"name": name})
            if row is None or await c.one("mark_tallied", {"number": row[0]}) is None:
                return False
            await c.one("hold_scope", {"scope": row[1]})
            for part, more in counts.items():
                place = {"scope": row[1], "part": part, "day": day, "environment": conversation.environment}
                known = await c.one("get_tally", place)
                total = added((_decode_counts(known[0]), more)) if known is not None else dict(more)
                await c.run("put_tally", {**place, "body": msgspec.msgpack.encode(total)})
            return True

        return await self._do(write)

    async def tallies(self, account_id: str, agent_id: str, part: Part, first: str, last: str) -> list[Tally]:
        async def read(c: Connection) -> list[Tally]:
            scope = await known_scope(c, account_id, agent_id)
            rows = await c.all("get_tallies", {"scope": scope, "part": part, "first": first, "last": last})
            return [Tally(day=day, environment=env, counts=_decode_counts(body)) for day, env, body in rows]

        return await self._read(read)

    async def untallied(self, *, after: Position | None = None, limit: int) -> Page:
        async def read(c: Connection) -> Page:
            values = {"limit": limit + 1, "before": after.number if after is not None else LAST}
            rows = await c.all("untallied", values)
            items = [item for number, scope in rows[:limit] for item in await self._read_listed(c, scope, [number])]
            return Page(items=items, next=Position(number=rows[limit - 1][0]) if len(rows) > limit else None)

        return await self._read(read)
