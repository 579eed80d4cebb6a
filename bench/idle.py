"""What a thousand conversations cost that nobody goes on with: the server's own memory, at once and after a minute.

python bench/idle.py [--conversations 1000] [--store sqlite|postgres]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import aiohttp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE / "peers"))
from run import Turns, command, load, own_mb  # noqa: E402

from turn import PostgresServer, Server  # noqa: E402

PORT = 8404
A_MINUTE = 65.0


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--conversations", type=int, default=1000)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    os.sched_setaffinity(0, {1})
    work = Path(tempfile.mkdtemp(prefix="idle-"))
    database = PostgresServer(work) if options.store == "postgres" else None
    name = "vivavoce, PostgreSQL" if database else "vivavoce, SQLite"
    line, env = command(name, sys.executable, work, PORT, "stub", database.url if database else "")
    server = Server(line, PORT, {**env, "VIVAVOCE_WORKERS": "8"})
    pid = server.process.pid
    try:
        await server.ready()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
            client = Turns(session, PORT)
            await load(client, pid, 8, 200, 2)  # warm
            await asyncio.sleep(A_MINUTE)
            await load(client, pid, 1, 1, 1)
            before = own_mb(pid)
            for round in range(1, 4):
                await load(client, pid, 8, options.conversations, 1)
                at_once = own_mb(pid)
                await asyncio.sleep(A_MINUTE)
                await load(client, pid, 1, 1, 1)  # what is too old goes when there is something to do
                after = own_mb(pid)
                print(
                    f"{options.store}, {round * options.conversations:,} conversations: {before:.1f} MB before, "
                    f"{at_once:.1f} at once, {after:.1f} after a minute", flush=True,
                )  # fmt: skip
    finally:
        server.stop()
        if database is not None:
            database.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
