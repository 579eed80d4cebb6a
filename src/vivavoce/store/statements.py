"""Reads named statements and numbered migrations from the `.sql` files."""

from __future__ import annotations

import re
from importlib import resources

from msgspec import Struct

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_MIGRATION = re.compile(r"(\d{4})_\w+\.(pre|post)\.sql")


class Migration(Struct, frozen=True):
    """`is_post`: it has to wait until no process of the version before is left."""

    number: int
    is_post: bool
    script: str


def statements(dialect: str) -> dict[str, str]:
    """Those that all engines share, and the dialect's own. No name stands in both."""
    shared, own = _read("queries.sql"), _read(dialect, "queries.sql")
    assert not shared.keys() & own.keys(), "a statement is either shared or an engine's own"
    return {**shared, **own}


def _read(*path: str) -> dict[str, str]:
    text = resources.files("vivavoce.store").joinpath("sql", *path).read_text("utf-8")
    parts = _NAME.split(text)
    return {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def migrations(dialect: str) -> list[Migration]:
    """In order of their numbers."""
    folder = resources.files("vivavoce.store").joinpath("sql", dialect, "migrations")
    found = []
    for entry in folder.iterdir():
        match = _MIGRATION.fullmatch(entry.name)
        if match:
            found.append(Migration(int(match.group(1)), match.group(2) == "post", entry.read_text("utf-8")))
    return sorted(found, key=lambda migration: migration.number)
