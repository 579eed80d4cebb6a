"""Who works at what, in tables that are not logged: a claim costs no write to the disk, and none outlives the server."""

from __future__ import annotations

import time

from vivavoce.store.tables.connection import Connection, Database, Refused

FORGET_SECONDS = 60.0  # between two times that old rows are taken away


class PostgresClaims:
    """Times are the server's own, so that clocks of processes need not agree."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._forgotten = time.monotonic()

    async def live(self, holder: str, seconds: float) -> None:
        is_time = time.monotonic() - self._forgotten > FORGET_SECONDS

        async def write(c: Connection) -> None:
            await c.run("live", {"id": holder, "seconds": seconds})
            if is_time:
                await c.run("forget_claims")
                await c.run("forget_processes")
                await c.all("add_months")

        await self._database.write(write, is_single=not is_time)
        if is_time:
            self._forgotten = time.monotonic()

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
