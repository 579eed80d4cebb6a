"""What PostgreSQL has its own words for, in finding conversations."""

from __future__ import annotations

from collections.abc import Sequence

from vivavoce.store.tables.connection import Connection
from vivavoce.store.tables.finding import FEW, TableFinding

_MATCH = "CAST(CAST(:match AS text) AS tsquery)"


class PostgresFinding(TableFinding):
    async def _size(self, c: Connection, facet: int) -> tuple[int, bool]:
        """Counted as far as it matters."""
        row = await c.one("facet_count", {"facet": facet, "most": FEW + 1})
        assert row is not None
        return int(row[0]), row[0] <= FEW

    def _by_words(self, index: str, checks: str, way: str) -> str:
        return (
            f"SELECT d.conversation AS number FROM documents d WHERE d.{index} @@ {_MATCH}"
            f" AND d.conversation BETWEEN :low AND :high{checks.replace('d.number', 'd.conversation')}"
            f" ORDER BY d.conversation {way} LIMIT :limit OFFSET :offset"
        )

    def _with_words(self, index: str) -> str:
        return f"d.number IN (SELECT conversation FROM documents WHERE {index} @@ {_MATCH})"

    def _merged(self, arms: Sequence[str], way: str) -> str:
        """Each arm ends where the page does: a union is sorted only when all of it is there."""
        if len(arms) == 1:
            return f"{arms[0]} ORDER BY d.number {way} LIMIT :limit OFFSET :offset"
        reach = f"ORDER BY d.number {way} LIMIT CAST(:limit AS bigint) + CAST(:offset AS bigint)"
        return (
            f"SELECT number FROM ({' UNION '.join(f'({arm} {reach})' for arm in arms)}) u"
            f" ORDER BY number {way} LIMIT CAST(:limit AS bigint) OFFSET CAST(:offset AS bigint)"
        )
