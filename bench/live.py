"""A thousand debug chats that go on at once: each says something every ten seconds or so. Server on core 0, load on core 1.

python bench/live.py [--chats 1000] [--seconds 60]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE / "peers"))
from run import Turns, command, own_mb  # noqa: E402

from turn import Server, cpu_seconds, percentile, resident_mb  # noqa: E402

PORT = 8402
PAUSE_SECONDS = 10.0  # between two messages of one chat, on average


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--chats", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    os.sched_setaffinity(0, {1})
    work = Path(tempfile.mkdtemp(prefix="live-"))
    line, env = command("vivavoce, SQLite", sys.executable, work, PORT, "stub", "")
    server = Server(line, PORT, env)
    pid = server.process.pid
    try:
        await server.ready()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256)) as session:
            client, taken = Turns(session, PORT), []
            before = own_mb(pid)
            ids = [await client.open() for _ in range(options.chats)]
            opened = own_mb(pid)
            end = time.perf_counter() + options.seconds

            async def chat(number: int, id: str) -> None:
                chance = random.Random(number)
                await asyncio.sleep(chance.uniform(0, PAUSE_SECONDS))
                n = 0
                while time.perf_counter() < end:
                    n += 1
                    taken.append(await client.turn(id, n))
                    await asyncio.sleep(chance.expovariate(1 / PAUSE_SECONDS))

            cpu = cpu_seconds(pid)
            await asyncio.gather(*(chat(n, id) for n, id in enumerate(ids)))
            used = cpu_seconds(pid) - cpu
            print(
                f"{options.chats} chats, {len(taken)} turns in {options.seconds:.0f} s ({len(taken) / options.seconds:.0f}/s), none failed"
            )
            print(
                f"p50 {statistics.median(taken) * 1000:.1f} ms, p99 {percentile(taken, 0.99) * 1000:.0f} ms, {used * 1000 / len(taken):.1f} ms CPU a turn, {100 * used / options.seconds:.0f} % of a core"
            )
            print(
                f"server {before:.0f} MB, {opened:.0f} MB with the chats open, {own_mb(pid):.0f} MB after; with author processes {resident_mb(pid):.0f} MB"
            )
    finally:
        server.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
