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
        await migrating.migrate(raw, self._keyring, self._statements, self.database.place, after=self.meanings.prepare)


async def _vacuum(raw: Any) -> bool:
    """False where this user may not, or where somebody may still see the old rows."""
    began = await raw.fetchval("SELECT clock_timestamp()")
    owned = "SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class WHERE oid = ANY($1::regclass[])"
    if not await raw.fetchval(owned, list(ERASED)):
        return False
    for table in ERASED:
        await raw.execute(f"VACUUM {table}")
    older = (
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_xmin IS NOT NULL AND xact_start < $1 AND pid <> pg_backend_pid())"
    )
    return not await raw.fetchval(older, began)


class PostgresStore(TableStore):
    def __init__(self, url: str, keyring: Keyring) -> None:
        engine = PostgresEngine(url, keyring)
        super().__init__(engine, keyring)
        self._news = engine.news

    async def close(self) -> None:
        await self._news.close()
        await super().close()
