"""The record on PostgreSQL: one database, which many processes share."""

from __future__ import annotations

from typing import Any

from vivavoce.store.postgres import migrating
from vivavoce.store.postgres.claims import PostgresClaims
from vivavoce.store.postgres.database import PostgresDatabase
from vivavoce.store.postgres.finding import PostgresFinding
from vivavoce.store.postgres.meaning import PostgresMeanings
from vivavoce.store.postgres.news import PostgresNews
from vivavoce.store.postgres.searching import PostgresWords
from vivavoce.store.sealing import Keyring
from vivavoce.store.statements import statements
from vivavoce.store.tables.store import TableStore

ERASED = ("seals", "vectors", "documents", "facts")  # tables whose old rows say something without a key, or are one


class PostgresEngine:
    appends_check = True

    def __init__(self, url: str, keyring: Keyring) -> None:
        self._keyring = keyring
        self._statements = statements("postgres")
        self.database = PostgresDatabase(url, self._statements, migrate=self._migrate, tidy=_vacuum)
        self.words = PostgresWords(keyring)
        self.finding = PostgresFinding(keyring, self.words)
        self.meanings = PostgresMeanings()
        self.claims = PostgresClaims(self.database)
        self.news = PostgresNews(url, self.database)

    async def _migrate(self, raw: Any) -> None:
        await migrating.migrate(raw, self._keyring, self._statements, self.database.place)
        await self.meanings.prepare(raw)


async def _vacuum(raw: Any) -> None:
    for table in ERASED:
        await raw.execute(f"VACUUM {table}")


class PostgresStore(TableStore):
    def __init__(self, url: str, keyring: Keyring) -> None:
        engine = PostgresEngine(url, keyring)
        super().__init__(engine, keyring)
        self._news = engine.news

    async def close(self) -> None:
        await self._news.close()
        await super().close()
