"""The record on SQLite: one file, which one process has."""

from __future__ import annotations

from pathlib import Path

from vivavoce.store.held import HeldClaims, OwnNews
from vivavoce.store.sealing import Keyring
from vivavoce.store.sqlite import carrying
from vivavoce.store.sqlite.database import SqliteDatabase
from vivavoce.store.sqlite.finding import SqliteFinding
from vivavoce.store.sqlite.meaning import SqliteMeanings
from vivavoce.store.sqlite.searching import SqliteWords
from vivavoce.store.statements import statements
from vivavoce.store.tables.store import TableStore


class SqliteEngine:
    appends_check = False

    def __init__(self, path: Path, keyring: Keyring) -> None:
        self.database = SqliteDatabase(
            path, statements("sqlite"), migrate=lambda raw: carrying.migrate(raw, keyring, str(path))
        )
        self.words = SqliteWords(keyring)
        self.finding = SqliteFinding(keyring, self.words)
        self.meanings = SqliteMeanings()
        self.claims = HeldClaims()
        self.news = OwnNews()


class SqliteStore(TableStore):
    def __init__(self, path: Path, keyring: Keyring) -> None:
        super().__init__(SqliteEngine(path, keyring), keyring)
