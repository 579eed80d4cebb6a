"""Twice as many turns as the server can do: what becomes of those that it takes, and of the others?

    python bench/overload.py

Server on core 0, load on core 1. Turns arrive at random, whatever becomes of those before (open loop), over more conversations than are ever in work.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE / "peers"))
from run import Turns, command, load  # noqa: E402

from turn import KEY, Server, percentile  # noqa: E402

SECONDS = 12
PORT = 8401


async def arrive(client: Turns, rate: float, ids: list[str]) -> tuple[Counter[int], list[float], int]:
    """(statuses, seconds of those that were answered, refusals without Retry-After)."""
    statuses: Counter[int] = Counter()
    taken: list[float] = []
    rude = 0
    chance = random.Random(5)
    body = json.dumps({"clientEnv": "sandbox", "message": "Where is my order 7?"})
    headers = {"X-API-KEY": KEY, "content-type": "application/json"}

    async def one(id: str) -> None:
        nonlocal rude
        began = time.perf_counter()
        async with client.session.post(f"{client.base}/{id}", data=body, headers=headers) as reply:
            await reply.read()
            statuses[reply.status] += 1
            if reply.status == 200:
                taken.append(time.perf_counter() - began)
            elif "Retry-After" not in reply.headers:
                rude += 1

    pending, due, free = set(), time.perf_counter(), list(ids)
    end = due + SECONDS
    n = 0
    while due < end:
        due += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(free[n % len(free)]))
        n += 1
        pending.add(task)
        task.add_done_callback(pending.discard)
    await asyncio.gather(*pending)
    return statuses, taken, rude


async def main() -> None:
    os.sched_setaffinity(0, {1})
    work = Path(tempfile.mkdtemp(prefix="overload-"))
    line, env = command("vivavoce, SQLite", sys.executable, work, PORT, "stub", "")
    server = Server(line, PORT, {**env, "VIVAVOCE_MAX_TURNS": "100000", "VIVAVOCE_WORKERS": "600"})
    try:
        await server.ready()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:
            client = Turns(session, PORT)
            capacity = (await load(client, server.process.pid, 16, 160, 10))["rate"]
            ids = [await client.open() for _ in range(500)]
            for id in ids:
                await client.turn(id, 0)
            print(
                f"capacity: {capacity:.0f} turns/s\n\n| arrivals | answered/s | p50 ms | p99 ms | 503 | other | without Retry-After |\n|---|---|---|---|---|---|---|"
            )
            for share in (0.5, 0.8, 2.0, 4.0):
                statuses, taken, rude = await arrive(client, capacity * share, ids)
                other = sum(n for status, n in statuses.items() if status not in (200, 503))
                taken.sort()
                print(
                    f"| {share:g}x | {len(taken) / SECONDS:.0f} | {taken[len(taken) // 2] * 1000:.0f} | "
                    f"{percentile(taken, 0.99) * 1000:.0f} | {statuses[503]} | {other} | {rude} |",
                    flush=True,
                )
    finally:
        server.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
