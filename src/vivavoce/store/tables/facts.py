"""Small facts that outlive one conversation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from vivavoce.domain.fact import Fact
from vivavoce.store.tables import erasing
from vivavoce.store.tables.connection import Connection, Row, moment
from vivavoce.store.tables.places import Placed, encode, known_scope, scope_of


class FactRows(Placed):
    """Facts by name. One that came from a conversation is sealed."""

    async def put_fact(self, fact: Fact) -> None:
        await self._do(lambda c: self._put_fact(c, fact))

    async def add_fact(self, fact: Fact) -> bool:
        name = self._fact_name(fact.account_id, fact.agent_id, fact.kind, fact.key)

        async def write(c: Connection) -> bool:
            # Taken first: of two that add it at once, the second waits here for what becomes of the first.
            if await c.one("take_fact", {"name": name, "kind": fact.kind, "at": fact.at}) is None:
                return False
            await self._put_fact(c, fact)
            return True

        return await self._do(write)

    async def _put_fact(self, c: Connection, fact: Fact) -> None:
        """What came from a conversation, or is private, is sealed under a key of its own, since it may outlive that one."""
        name = self._fact_name(fact.account_id, fact.agent_id, fact.kind, fact.key)
        body, number = encode(fact.body), None
        if fact.subject is not None or fact.is_private:
            known = await c.one("seal_of_fact", {"name": name})
            if known is not None:
                number, seal = known[0], self._keyring.unwrap(known[1])
            else:
                wrapped, seal = self._keyring.make()
                added = await c.one("add_seal", {"wrapped": wrapped})
                assert added is not None
                number = added[0]
            body = seal.close(body, b"fact")
        values = {
            "name": name,
            "scope": await scope_of(c, fact.account_id, fact.agent_id),
            "kind": fact.kind,
            "seal": number,
            "body": body,
            "at": fact.at,
            "expires_at": fact.expires_at,
        }
        await c.run("put_fact", values)
        if fact.subject is not None:
            await c.run("add_fact_source", {"conversation": self._name(fact.subject), "fact": name})

    async def get_fact(self, account_id: str, agent_id: str, kind: str, key: str, now: datetime) -> Fact | None:
        values = {"name": self._fact_name(account_id, agent_id, kind, key), "now": now}
        row = await self._read(lambda c: c.one("get_fact", values))
        if row is None:
            return None
        body, written, expires, wrapped = row
        if wrapped is not None:
            body = self._keyring.unwrap(wrapped).open(body, b"fact")
        return Fact(
            account_id=account_id,
            agent_id=agent_id,
            kind=kind,
            key=key,
            body=msgspec.json.decode(body),
            at=moment(written),
            expires_at=moment(expires) if expires is not None else None,
        )

    async def facts(self, account_id: str, agent_id: str, kind: str, now: datetime) -> list[dict[str, Any]]:
        async def read(c: Connection) -> Sequence[Row]:
            scope = await known_scope(c, account_id, agent_id)
            return await c.all("facts_of_kind", {"scope": scope, "kind": kind, "now": now})

        found = []
        for body, wrapped in await self._read(read):
            plain = self._keyring.unwrap(wrapped).open(body, b"fact") if wrapped is not None else body
            found.append(msgspec.json.decode(plain))
        return found

    async def replace_fact(self, fact: Fact) -> bool:
        name = self._fact_name(fact.account_id, fact.agent_id, fact.kind, fact.key)

        async def write(c: Connection) -> bool:
            if await c.one("hold_fact", {"name": name}) is None:
                return False
            await self._put_fact(c, fact)
            return True

        return await self._do(write)

    async def remove_fact(self, account_id: str, agent_id: str, kind: str, key: str) -> bool:
        name = self._fact_name(account_id, agent_id, kind, key)
        return await self._do(lambda c: erasing.remove_fact(c, name))

    async def expired_facts(self, account_id: str, agent_id: str, kind: str, before: datetime) -> int:
        async def write(c: Connection) -> int:
            scope = await known_scope(c, account_id, agent_id)
            names = await c.all("facts_before", {"scope": scope, "kind": kind, "before": before})
            return sum([await erasing.remove_fact(c, name) for (name,) in names])

        return await self._do(write)
