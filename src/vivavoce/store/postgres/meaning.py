"""Search by meaning on PostgreSQL: the nearest by signs, found there; with pgvector by an index, without it by looking at all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import asyncpg

from vivavoce.store.tables.connection import Connection
from vivavoce.store.tables.vectors import NEAREST, dimensions, sign_bits

log = logging.getLogger(__name__)
INDEXED = 384  # dimensions of the packaged embedding model, for which there is an index
# The index goes on looking until there are enough of the agent's own.
_NEAR = "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', false), set_config('hnsw.ef_search', '400', false)"


class PostgresMeanings:
    def __init__(self) -> None:
        self.has_index = False

    async def prepare(self, raw: Any) -> None:
        """Uses pgvector where it is, or may be installed; other servers do without."""
        if await raw.fetchval("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'vectors_near_%'") == 2:
            self.has_index = True
            return
        if await raw.fetchval("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'") is None:
            return
        try:
            async with raw.transaction():
                await raw.execute("CREATE EXTENSION IF NOT EXISTS vector")
                for column in ("plain", "redacted"):
                    await raw.execute(
                        f"CREATE INDEX IF NOT EXISTS vectors_near_{column} ON vectors USING hnsw "
                        f"(({column}_signs::bit({INDEXED})) bit_hamming_ops) WHERE length({column}_signs) = {INDEXED}"
                    )
            self.has_index = True
        except asyncpg.PostgresError as error:
            log.info("pgvector is not used: %s", type(error).__name__)

    async def put(self, c: Connection, number: int, scope: int, model: str, plain: bytes, redacted: bytes) -> None:
        values = {
            "number": number,
            "scope": scope,
            "model": model,
            "plain": plain,
            "redacted": redacted,
            "plain_signs": bits(plain),
            "redacted_signs": bits(redacted),
        }
        await c.run("put_vectors", values)

    def note(self, scope: int, number: int, plain: bytes | None, redacted: bytes | None) -> None:
        """Nothing of it is kept here."""

    async def nearest(self, c: Connection, scope: int, column: str, query: bytes, low: int, high: int) -> Sequence[int]:
        wide = dimensions(query)
        signs = f"{column}_signs::bit({wide})"
        if self.has_index and wide == INDEXED:
            await c.select(_NEAR)
            apart = f"{signs} <~> CAST(:query AS bit({wide}))"
        else:
            apart = f"bit_count({signs} # CAST(:query AS bit({wide})))"
        sql = (
            "SELECT conversation FROM vectors WHERE scope = :scope AND conversation BETWEEN :low AND :high"
            f" AND length({column}_signs) = {wide} ORDER BY {apart} LIMIT {NEAREST}"
        )
        values = {"scope": scope, "low": low, "high": high, "query": bits(query)}
        return [row[0] for row in await c.select(sql, values)]


def bits(vector: bytes) -> Any:
    return asyncpg.BitString.frombytes(sign_bits(vector), bitlength=dimensions(vector))
