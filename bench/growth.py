"""What so many turns a second need, from what a turn was measured to cost; and how long turns wait then, simulated.

python bench/growth.py [--cpu 2.0] [--database-cpu 0.7] [--bytes 5500] [--log-bytes 6800]
"""

from __future__ import annotations

import argparse
import heapq
import math
import random

UTILISATION = 0.6  # of a core, at most
YEAR = 365 * 86_400
CORES = 8  # of a machine


def waiting(rate: float, service: float, cores: int, turns: int = 60_000) -> tuple[float, float]:
    """(p50, p99) ms from arrival to end, of turns that arrive at random and need a core for about `service` seconds."""
    chance = random.Random(7)
    free = [0.0] * cores
    heapq.heapify(free)
    now, taken = 0.0, []
    for _ in range(turns):
        now += chance.expovariate(rate)
        began = max(now, heapq.heappop(free))
        took = service * chance.lognormvariate(-0.125, 0.5)  # the mean is `service`
        heapq.heappush(free, began + took)
        taken.append(began + took - now)
    taken.sort()
    return taken[len(taken) // 2] * 1000, taken[int(len(taken) * 0.99)] * 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpu", type=float, default=2.0, help="ms of a server a turn")
    parser.add_argument("--database-cpu", type=float, default=0.7, help="ms of PostgreSQL a turn")
    parser.add_argument("--bytes", type=float, default=5500.0, help="kept a turn, indexes included")
    parser.add_argument("--log-bytes", type=float, default=6800.0, help="write-ahead log a turn")
    options = parser.parse_args()
    print(
        "| turns/s | server cores | database cores | rows a day | rows a year | log MB/s | p50 / p99 ms of CPU and waiting |"
    )
    print("|---|---|---|---|---|---|---|")
    for rate in (1, 100, 10_000):
        cores = max(1, math.ceil(rate * options.cpu / 1000 / UTILISATION))
        database = max(1, math.ceil(rate * options.database_cpu / 1000 / UTILISATION))
        p50, p99 = waiting(rate, options.cpu / 1000, cores)
        day = rate * 86_400 * options.bytes / 1e9
        print(
            f"| {rate:,} | {cores} ({math.ceil(cores / CORES)} machines of {CORES}) | {database} | {day:,.1f} GB | "
            f"{day * 365 / 1000:,.2f} TB | {rate * options.log_bytes / 1e6:,.2f} | {p50:.1f} / {p99:.1f} |"
        )


if __name__ == "__main__":
    main()
