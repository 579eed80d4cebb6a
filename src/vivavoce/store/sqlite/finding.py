"""What SQLite has its own words for, in finding conversations."""

from __future__ import annotations

from collections.abc import Sequence

from vivavoce.store.tables.connection import Connection
from vivavoce.store.tables.finding import TableFinding


class SqliteFinding(TableFinding):
    async def _size(self, c: Connection, facet: int) -> tuple[int, bool]:
        row = await c.one("facet_count", {"facet": facet})
        return (row[0] if row is not None else 0), True

    def _by_words(self, index: str, checks: str, way: str) -> str:
        return (
            f"SELECT d.rowid AS number FROM {index} d WHERE {index} MATCH :match AND d.rowid BETWEEN :low AND :high"
            f"{checks.replace('d.number', 'd.rowid')} ORDER BY d.rowid {way} LIMIT :limit OFFSET :offset"
        )

    def _with_words(self, index: str) -> str:
        return f"d.number IN (SELECT rowid FROM {index} WHERE {index} MATCH :match)"

    def _merged(self, arms: Sequence[str], way: str) -> str:
        return f"{' UNION '.join(arms)} ORDER BY 1 {way} LIMIT :limit OFFSET :offset"

    def _hinted(self, index: str) -> str:
        return f" INDEXED BY {index}"

    def _beside(self, column: str) -> str:
        return f"+{column}"
