"""Where things lie in the tables, and what opens them: what every part of the store stands on."""

from __future__ import annotations

from collections import OrderedDict

import msgspec
from msgspec import Struct

from vivavoce.domain.conversation import Subject
from vivavoce.store.interface import StoreError
from vivavoce.store.sealing import Keyring, Seal
from vivavoce.store.tables.connection import Connection
from vivavoce.store.tables.engine import Engine

MOST_PLACES = 8192
BLOCK = 1000  # numbers, within which conversations that began in one microsecond stand one after another

encode = msgspec.json.Encoder().encode


class Place(Struct, frozen=True):
    """Where a conversation lies, and what opens it."""

    number: int
    scope: int
    seal: Seal


class Placed:
    """The tables, and where each conversation lies in them."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self._engine = engine
        self._keyring = keyring
        self._known_texts: set[str] = set()  # that are in the table of texts for certain
        self._places: OrderedDict[Subject, Place] = OrderedDict()
        self._do, self._read = engine.database.write, engine.database.read

    def _name(self, subject: Subject) -> bytes:
        return self._keyring.name("conversation", subject.account_id, subject.agent_id, subject.id)

    def _fact_name(self, account_id: str, agent_id: str, kind: str, key: str) -> bytes:
        return self._keyring.name("fact", account_id, agent_id, kind, key)

    async def _placed(self, subject: Subject) -> Place:
        known = self._places.get(subject)
        return known if known is not None else await self._read(lambda c: self._placed_by(c, subject))

    async def _placed_by(self, c: Connection, subject: Subject) -> Place:
        known = self._places.get(subject)
        if known is not None:
            return known
        row = await c.one("find_conversation", {"name": self._name(subject)})
        if row is None:
            raise missing(subject)
        place = Place(row[0], row[1], self._keyring.unwrap(row[2]))
        self._remember(subject, place)
        return place

    def _remember(self, subject: Subject, place: Place) -> None:
        self._places[subject] = place
        while len(self._places) > MOST_PLACES:
            self._places.popitem(last=False)


async def scope_of(c: Connection, account_id: str, agent_id: str) -> int:
    found = await known_scope(c, account_id, agent_id)
    if found is None:
        await c.run("add_scope", {"account_id": account_id, "agent_id": agent_id})
        found = await known_scope(c, account_id, agent_id)
    assert found is not None
    return found


async def known_scope(c: Connection, account_id: str, agent_id: str) -> int | None:
    row = await c.one("find_scope", {"account_id": account_id, "agent_id": agent_id})
    return row[0] if row is not None else None


async def free_number(c: Connection, wanted: int) -> int:
    while True:
        row = await c.one("last_number", {"first": wanted, "last": wanted + BLOCK - 1})
        assert row is not None
        last = row[0]
        if last is None:
            return wanted
        if last < wanted + BLOCK - 1:
            return int(last) + 1
        wanted += BLOCK


def missing(subject: Subject) -> StoreError:
    return StoreError(f"Conversation {subject.id!r} is not in the store.")
