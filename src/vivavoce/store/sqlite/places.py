"""Where things lie in the database, and what opens them: what every part of the store stands on."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from vivavoce.domain.conversation import Subject
from vivavoce.store.interface import StoreError
from vivavoce.store.sealing import Keyring, Seal
from vivavoce.store.sqlite import carrying, meaning
from vivavoce.store.sqlite.database import Database
from vivavoce.store.statements import statements

MOST_PLACES = 8192
BLOCK = 1000  # numbers, within which conversations that began in one microsecond stand one after another

SQL = statements("sqlite")
encode = msgspec.json.Encoder().encode


def at(moment: datetime) -> str:
    """UTC with microseconds: texts that sort as their times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


class Place(Struct, frozen=True):
    """Where a conversation lies, and what opens it."""

    number: int
    scope: int
    seal: Seal


class Placed:
    """The database, and where each conversation lies in it."""

    def __init__(self, path: Path, keyring: Keyring) -> None:
        self._keyring = keyring
        self._known_texts: set[str] = set()
        self._places: OrderedDict[Subject, Place] = OrderedDict()
        self._meanings: dict[tuple[int, str], meaning.Signs] = {}
        self._database = Database(
            path,
            migrate=lambda connection: carrying.migrate(connection, keyring, str(path)),
            rolled_back=self._known_texts.clear,
        )
        self._do, self._read = self._database.write, self._database.read

    def _name(self, subject: Subject) -> bytes:
        return self._keyring.name("conversation", subject.account_id, subject.agent_id, subject.id)

    def _fact_name(self, account_id: str, agent_id: str, kind: str, key: str) -> bytes:
        return self._keyring.name("fact", account_id, agent_id, kind, key)

    async def _placed(self, subject: Subject) -> Place:
        known = self._places.get(subject)
        return known if known is not None else await self._read(lambda c: self._placed_by(c, subject))

    def _placed_by(self, c: sqlite3.Connection, subject: Subject) -> Place:
        known = self._places.get(subject)
        if known is not None:
            return known
        row = c.execute(SQL["find_conversation"], {"name": self._name(subject)}).fetchone()
        if row is None:
            raise missing(subject)
        place = Place(row[0], row[1], self._keyring.unwrap(row[2]))
        self._remember(subject, place)
        return place

    def _remember(self, subject: Subject, place: Place) -> None:
        self._places[subject] = place
        while len(self._places) > MOST_PLACES:
            self._places.popitem(last=False)


def scope_of(c: sqlite3.Connection, account_id: str, agent_id: str) -> int:
    found = known_scope(c, account_id, agent_id)
    if found is None:
        c.execute(SQL["add_scope"], {"account_id": account_id, "agent_id": agent_id})
        found = known_scope(c, account_id, agent_id)
    assert found is not None
    return found


def known_scope(c: sqlite3.Connection, account_id: str, agent_id: str) -> int | None:
    row = c.execute(SQL["find_scope"], {"account_id": account_id, "agent_id": agent_id}).fetchone()
    return row[0] if row is not None else None


def free_number(c: sqlite3.Connection, wanted: int) -> int:
    while True:
        sql = "SELECT max(number) FROM conversations WHERE number BETWEEN ? AND ?"
        (last,) = c.execute(sql, (wanted, wanted + BLOCK - 1)).fetchone()
        if last is None:
            return wanted
        if last < wanted + BLOCK - 1:
            return int(last) + 1
        wanted += BLOCK


def missing(subject: Subject) -> StoreError:
    return StoreError(f"Conversation {subject.id!r} is not in the store.")
