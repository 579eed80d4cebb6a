"""Who works at what, in tables that are not logged: a claim costs no write to the disk, and none outlives the server."""

from __future__ import annotations

import logging
import time

from vivavoce.store.interface import StoreError
from vivavoce.store.tables.connection import Connection, Database, Refused

log = logging.getLogger(__name__)

TIDY_SECONDS = 60.0  # between two times that old rows are taken away, and tables of months to come are made


class PostgresClaims:
    """Times are the server's own, so that clocks of processes need not agree."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tidied = time.monotonic()

    async def live(self, holder: str, seconds: float) -> None:
        await self._database.write(lambda c: c.run("live", {"id": holder, "seconds": seconds}), is_single=True)
        if time.monotonic() - self._tidied > TIDY_SECONDS:
            self._tidied = time.monotonic()
            await self._tidy()

    async def _tidy(self) -> None:
        """None of it is urgent, and none of it may keep this process from saying that it lives."""
        for statement in ("forget_claims", "forget_processes", "add_months"):
            try:
                await self._database.write(lambda c, s=statement: c.all(s), is_single=True)  # type: ignore[misc]
            except StoreError as error:
                log.info("the database was not tidied: %s %s", statement, error.message)

    async def keep(self, name: bytes, holder: str, token: int) -> None:
        values = {"name": name, "holder": holder, "token": token}
        await self._database.write(lambda c: c.run("keep_claim", values), is_single=True)

    async def leave(self, holder: str) -> None:
        await self._database.write(lambda c: c.run("leave", {"id": holder}), is_single=True)

    async def take(self, name: bytes, holder: str, token: int) -> str | None:
        values = {"name": name, "holder": holder, "token": token}
        row = await self._database.write(lambda c: c.one("take_claim", values), is_single=True)
        return str(row[0]) if row is not None else None

    async def release(self, name: bytes, token: int) -> None:
        await self._database.write(lambda c: c.run("release_claim", {"name": name, "token": token}), is_single=True)

    async def check(self, c: Connection, name: bytes, token: int) -> None:
        if await c.one("check_claim", {"name": name, "token": token}) is None:
            raise Refused("the claim is another's")
