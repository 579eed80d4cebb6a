"""The identical turn through the product and through its peers: same machine, same run, same load, same stub of a model.

    python bench/peers/run.py [--only NAME...] [--quick] [--peers PYTHON]

A turn: the message, a model request that calls one tool, the tool, a second model request, and all of it on disk before the reply. The server has core 0
with all of its children, load generator, model server and database server have core 1. *stub*: the model is a function in the server's process. *http*: an
OpenAI-compatible server, reached by each peer's own client.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from turn import KEY, Client, PostgresServer, Server, cpu_seconds, percentile  # noqa: E402

AGENT = {
    "project.yaml": "project_id: bench\naccount_id: bench\n",
    "agent_settings/rules.txt": "You answer questions about orders, briefly. Look an order up before you say anything about it: {{fn:look_up}}.",
    "functions/look_up.py": (
        "from _gen import *\n\n\n@func_description('Looks an order up by its number.')\n"
        "@func_parameter('number', 'The number of the order.')\n"
        "def look_up(conv: Conversation, number: int):\n    return f'Order {number} leaves tomorrow.'\n"
    ),
}
AGAIN_SECONDS = 0.1
SCRIPT = """
rules:
  - when: {tool: look_up, said: order}
    call: {name: look_up, arguments: {number: 7}}
  - when: {result_of: look_up}
    say: "Your order number seven leaves the house tomorrow morning."
otherwise: "Which order do you mean?"
"""
MODEL_PORT = 8310
PEERS = {
    "LangGraph, SQLite, default": ("langgraph_turn.py", "sqlite", "default"),
    "LangGraph, SQLite, exit": ("langgraph_turn.py", "sqlite", "exit"),
    "LangGraph, PostgreSQL, default": ("langgraph_turn.py", "postgres", "default"),
    "LangGraph, PostgreSQL, exit": ("langgraph_turn.py", "postgres", "exit"),
    "pydantic-ai, one commit": ("pydantic_ai_turn.py",),
    "OpenAI Agents, SQLite": ("openai_agents_turn.py",),
    "Pipecat, one commit": ("pipecat_turn.py",),
}
OURS = ("vivavoce, SQLite", "vivavoce, PostgreSQL")


class Turns(Client):
    async def turn(self, conversation: str, n: int) -> float:
        """Seconds; who is told to come again comes again, and its time goes on."""
        began = time.perf_counter()
        body = {"clientEnv": "sandbox", "message": f"Where is my order {n}?"}
        while True:
            try:
                await self.post(f"{self.base}/{conversation}", body)
                return time.perf_counter() - began
            except RuntimeError as error:
                if not str(error).startswith("503"):
                    raise
                await asyncio.sleep(AGAIN_SECONDS)


async def load(client: Turns, pid: int, at_once: int, conversations: int, turns: int) -> dict[str, float]:
    """CPU ms a turn, turns a second, latencies; openings are not counted."""
    waiting = [await client.open() for _ in range(conversations)]
    taken: list[list[float]] = []

    async def talk() -> None:
        while waiting:
            conversation = waiting.pop()
            taken.append([await client.turn(conversation, n) for n in range(turns)])

    cpu, began = cpu_seconds(pid), time.perf_counter()
    await asyncio.gather(*(talk() for _ in range(at_once)))
    seconds = time.perf_counter() - began
    every = [t for one in taken for t in one]
    found = {
        "cpu": (cpu_seconds(pid) - cpu) * 1000 / len(every), "rate": len(every) / seconds,
        "p50": statistics.median(every) * 1000, "p99": percentile(every, 0.99) * 1000,
    }  # fmt: skip
    if turns >= 50:
        first = [t for one in taken for t in one[1:6]]
        found["growth"] = statistics.median([t for one in taken for t in one[-5:]]) / statistics.median(first)
    return found


def own_mb(pid: int) -> float:
    """Of the server process alone: processes for author code are few, and retired."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no Pss")


def size(work: Path) -> int:
    return sum(file.stat().st_size for file in work.rglob("*") if file.is_file())


async def rows_of(database: PostgresServer | None) -> tuple[int, int]:
    """Bytes of a database that is a server's, and bytes that it has written ahead so far."""
    if database is None:
        return 0, 0
    import asyncpg

    raw = await asyncpg.connect(database.url)
    size, written = await raw.fetchrow(
        "SELECT pg_database_size(current_database()), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
    )
    await raw.close()
    return int(size), int(written)


async def measure(name: str, server: Server, *, quick: bool) -> dict[str, float]:
    found = {"start s": await server.ready()}
    pid, scale = server.process.pid, 4 if quick else 1
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        client = Turns(session, server.port)
        await load(client, pid, 4, 8, 10)  # warm
        for at_once, conversations in ((1, 40), (8, 80), (32, 128)):
            got = await load(client, pid, at_once, max(at_once, conversations // scale), 10)
            found[f"cpu {at_once}"], found[f"p50 {at_once}"], found[f"p99 {at_once}"] = (
                got["cpu"],
                got["p50"],
                got["p99"],
            )
            if at_once == 8:
                found["turns/s"] = got["rate"]
        long = await load(client, pid, 8, 16, 50)
        found["cpu 50"], found["growth"] = long["cpu"], long["growth"]
        count = 1000 // scale
        memory = own_mb(pid)
        await load(client, pid, 8, count, 1)
        found["MB/1000 idle"] = (own_mb(pid) - memory) * 1000 / count
        found["turns"] = 80 + 10 * sum(max(n, c // scale) for n, c in ((1, 40), (8, 80), (32, 128))) + 800 + count
    return found


def command(
    name: str, python: str, work: Path, port: int, model: str, database: str
) -> tuple[list[str], dict[str, str]]:
    if name == "floor":
        return [sys.executable, str(HERE.parent / "floor.py"), str(port), str(work / "floor.db")], {}
    if name in OURS:
        for path, text in AGENT.items():
            (work / "agent" / path).parent.mkdir(parents=True, exist_ok=True)
            (work / "agent" / path).write_text(text)
        (work / "script.yaml").write_text(SCRIPT)
        env = {"VIVAVOCE_API_KEY": KEY, "VIVAVOCE_RETRIEVAL": "lexical"}
        if database:
            env["VIVAVOCE_DATABASE"] = database
        chosen = f"scripted:{work / 'script.yaml'}"
        if model != "stub":
            env |= {"OPENAI_BASE_URL": model, "OPENAI_API_KEY": "x"}
            chosen = "openai:fake"
        served = ["-m", "vivavoce", "serve", str(work / "agent"), "--data", str(work / "data"), "--model", chosen]
        return [sys.executable, *served, "--port", str(port), "--no-reload"], env
    script, *rest = PEERS[name]
    if rest and rest[0] == "postgres":
        rest[0] = database
    return [python, str(HERE / script), str(port), str(work), model, *rest], {"OPENAI_AGENTS_DISABLE_TRACING": "1"}


def environment(python: str | None) -> str:
    if python:
        return python
    folder = HERE / ".venv"
    if not (folder / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "-q", "-r", str(HERE / "requirements.txt")]
        subprocess.run(pip, check=True)
    return str(folder / "bin/python")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=("floor", *OURS, *PEERS))
    parser.add_argument("--model", choices=("stub", "http"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", help="a Python that has the peers; else one is made in bench/peers/.venv")
    options = parser.parse_args()
    python = environment(options.peers)
    os.sched_setaffinity(0, {1})
    rows: dict[tuple[str, str], dict[str, float]] = {}
    upstream = Server([sys.executable, str(HERE.parent / "fake_openai.py"), str(MODEL_PORT)], MODEL_PORT, core=1)
    await upstream.ready("/x")
    port = 8320
    try:
        for model in ("stub", "http"):
            for name in ("floor", *OURS, *PEERS):
                if (
                    name not in (options.only or [name])
                    or options.model not in (None, model)
                    or (name, model) == ("floor", "http")
                ):
                    continue
                port += 1
                work = Path(tempfile.mkdtemp(prefix="peers-"))
                database = PostgresServer(work) if "PostgreSQL" in name else None
                address = "stub" if model == "stub" else f"http://127.0.0.1:{MODEL_PORT}/v1"
                line, env = command(name, python, work, port, address, database.url if database else "")
                server = Server(line, port, env)
                try:
                    empty = await rows_of(database)
                    found = rows[name, model] = await measure(name, server, quick=options.quick)
                    full = await rows_of(database)
                    server.stop()  # what lies in logs is written into its file by then
                    found["bytes/turn"] = (full[0] - empty[0] if database is not None else size(work)) / found["turns"]
                    if database is not None:
                        found["log/turn"] = (full[1] - empty[1]) / found["turns"]
                    print(
                        name, model, {k: round(v, 2) for k, v in rows[name, model].items()}, file=sys.stderr, flush=True
                    )
                finally:
                    if server.process.poll() is None:
                        server.stop()
                    if database is not None:
                        database.stop()
                    shutil.rmtree(work, ignore_errors=True)
    finally:
        upstream.stop()
    show(rows)


COLUMNS = {
    "cpu 1": "CPU ms, 1 at once", "cpu 8": "8", "cpu 32": "32", "cpu 50": "50 turns", "growth": "last/first turns",
    "p50 1": "p50 ms, 1", "p99 1": "p99 ms, 1", "p50 8": "p50, 8", "p99 8": "p99, 8", "p50 32": "p50, 32", "p99 32": "p99, 32",
    "turns/s": "turns/s, a core", "bytes/turn": "bytes a turn", "log/turn": "bytes of log", "MB/1000 idle": "MB, 1,000 idle", "start s": "start s",
}  # fmt: skip


def show(rows: dict[tuple[str, str], dict[str, float]]) -> None:
    for model in ("stub", "http"):
        mine = {name: row for (name, kind), row in rows.items() if kind == model}
        if not mine:
            continue
        print(f"\n*{model}*\n\n| | {' | '.join(COLUMNS.values())} |\n|---|{'---|' * len(COLUMNS)}")
        for name, row in mine.items():
            cells = (
                "" if row.get(key) != row.get(key) or key not in row else f"{row[key]:,.{0 if row[key] > 99 else 2}f}"
                for key in COLUMNS
            )
            print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    asyncio.run(main())
