"""Small facts that outlive one conversation."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

import msgspec

from vivavoce.domain.fact import Fact
from vivavoce.store.sqlite import erasing
from vivavoce.store.sqlite.places import (
    SQL,
    Placed,
    at,
    encode,
    known_scope,
    moment,
    scope_of,
)


class FactRows(Placed):
    """Facts by name. One that came from a conversation is sealed."""

    async def put_fact(self, fact: Fact) -> None:
        await self._do(lambda c: self._put_fact(c, fact))

    def _put_fact(self, c: sqlite3.Connection, fact: Fact) -> None:
        """What came from a conversation, or is private, is sealed under a key of its own, since it may outlive that one."""
        name = self._fact_name(fact.account_id, fact.agent_id, fact.kind, fact.key)
        body, number = encode(fact.body), None
        if fact.subject is not None or fact.is_private:
            known = c.execute(SQL["seal_of_fact"], {"name": name}).fetchone()
            if known is not None:
                number, seal = known[0], self._keyring.unwrap(known[1])
            else:
                wrapped, seal = self._keyring.make()
                number = c.execute(SQL["add_seal"], {"wrapped": wrapped}).fetchone()[0]
            body = seal.close(body, b"fact")
        values = {
            "name": name,
            "scope": scope_of(c, fact.account_id, fact.agent_id),
            "kind": fact.kind,
            "seal": number,
            "body": body,
            "at": at(fact.at),
            "expires_at": at(fact.expires_at) if fact.expires_at is not None else None,
        }
        c.execute(SQL["put_fact"], values)
        if fact.subject is not None:
            c.execute(SQL["add_fact_source"], {"conversation": self._name(fact.subject), "fact": name})

    async def get_fact(self, account_id: str, agent_id: str, kind: str, key: str, now: datetime) -> Fact | None:
        values = {"name": self._fact_name(account_id, agent_id, kind, key), "now": at(now)}
        row = await self._read(lambda c: c.execute(SQL["get_fact"], values).fetchone())
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
        def read(c: sqlite3.Connection) -> list[tuple[bytes, bytes | None]]:
            values = {"scope": known_scope(c, account_id, agent_id), "kind": kind, "now": at(now)}
            return c.execute(SQL["facts_of_kind"], values).fetchall()

        found = []
        for body, wrapped in await self._read(read):
            plain = self._keyring.unwrap(wrapped).open(body, b"fact") if wrapped is not None else body
            found.append(msgspec.json.decode(plain))
        return found

    async def replace_fact(self, fact: Fact) -> bool:
        name = self._fact_name(fact.account_id, fact.agent_id, fact.kind, fact.key)

        def write(c: sqlite3.Connection) -> bool:
            if c.execute(SQL["has_fact"], {"name": name}).fetchone() is None:
                return False
            self._put_fact(c, fact)
            return True

        return await self._do(write)

    async def remove_fact(self, account_id: str, agent_id: str, kind: str, key: str) -> bool:
        name = self._fact_name(account_id, agent_id, kind, key)
        return await self._do(lambda c: erasing.remove_fact(c, name))

    async def expired_facts(self, account_id: str, agent_id: str, kind: str, before: datetime) -> int:
        def write(c: sqlite3.Connection) -> int:
            values = {"scope": known_scope(c, account_id, agent_id), "kind": kind, "before": at(before)}
            names = c.execute(SQL["facts_before"], values).fetchall()
            return sum(erasing.remove_fact(c, name) for (name,) in names)

        return await self._do(write)
