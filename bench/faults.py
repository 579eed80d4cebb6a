"""Kills the server at random instants under load, again and again, and then reads the record: what of it is wrong?

    python bench/faults.py [--store sqlite|postgres] [--kills 50] [--seconds 600] [--servers 1|2]

Callers send messages, each with words of its own, and send a message again (same Idempotency-Key) until it is answered. Two functions have an effect
at a service outside: one passes `conv.idempotency_key` on, the other uses `conv.once`. Asked in the end: is each answered turn there as it was
answered, is one twice, is one half, are turns missing between, did an effect happen twice or not at all?
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

HERE = Path(__file__).parent
KEY = "faults-key"
CALLERS = 8
MESSAGES = 8  # of a conversation
GIVE_UP_SECONDS = 60.0
LIFE = (0.05, 1.2)  # seconds for which a server lives once it serves
FUNCTION = """
import requests
from _gen import *

@func_description("has an effect outside")
def act(conv: Conversation, word: str):
    conv.state.count = (conv.state.count or 0) + 1
    requests.post("{sink}/known", data=word, headers={{"Idempotency-Key": conv.idempotency_key}}, timeout=5)
    try:
        conv.once("blind", lambda: requests.post("{sink}/blind", data=word, timeout=5).status_code)
    except EffectUnsettled:
        return f"{{word}} {{conv.state.count}} unsettled"
    return f"{{word}} {{conv.state.count}} done"
"""
MODEL = """
rules:
  - when: {said: "act (?P<word>.+)", tool: act}
    call: {name: act, arguments: {word: "{word}"}}
  - when: {result_of: act}
    say: "{result}"
otherwise: "Go on."
"""


class Sink:
    """The service outside: what it was asked to do, by whom, and how often."""

    def __init__(self) -> None:
        self.known: dict[str, set[str]] = defaultdict(set)  # word -> keys it came with
        self.blind: Counter[str] = Counter()

    async def start(self) -> str:
        app = web.Application()
        app.router.add_post("/known", self._known)
        app.router.add_post("/blind", self._blind)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _known(self, request: web.Request) -> web.Response:
        self.known[await request.text()].add(request.headers["Idempotency-Key"])
        return web.Response()

    async def _blind(self, request: web.Request) -> web.Response:
        self.blind[await request.text()] += 1
        return web.Response()


class Nursery:
    """Has the program loaded, and forks a server off in some hundredths of a second: a life may be shorter than a start."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._socket = ours
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _serve_children(theirs)
        theirs.close()

    async def start(self, arguments: list[str], env: dict[str, str]) -> int:
        return await asyncio.to_thread(self._start, arguments, env)

    def _start(self, arguments: list[str], env: dict[str, str]) -> int:
        self._socket.sendall(json.dumps({"arguments": arguments, "env": env}).encode() + b"\n")
        return int(self._socket.recv(64))

    def stop(self) -> None:
        self._socket.close()
        os.waitpid(self._pid, 0)


def _serve_children(wanted: socket.socket) -> None:
    sys.path.insert(0, str(HERE.parent / "src"))
    import vivavoce.cli.serve  # noqa: F401  # loaded once
    from vivavoce.cli.main import main

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in wanted.makefile("rb"):
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            wanted.close()
            os.environ.update(asked["env"])
            os.dup2(os.open(asked["env"]["LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            try:
                main(asked["arguments"])
            finally:
                os._exit(1)
        wanted.sendall(str(pid).encode())
    os._exit(0)


class Server:
    def __init__(self, nursery: Nursery, arguments: list[str], env: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._nursery, self._env = nursery, env
        self._arguments = [*arguments, "--port", str(self.port)]
        self.pid = 0
        self.lives = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, session: aiohttp.ClientSession) -> None:
        for _attempt in range(3):
            self.pid = await self._nursery.start(self._arguments, self._env)
            for _ in range(1500):
                try:
                    async with session.get(f"{self.url}/healthz") as reply:
                        await reply.read()
                        self.lives += 1
                        return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.01)
            self.kill()
        raise RuntimeError("the server did not start again")

    def kill(self) -> None:
        """Returns when it is gone."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            while True:
                os.kill(self.pid, 0)
                time.sleep(0.001)
        except ProcessLookupError:
            pass


class Load:
    """Callers that want an answer to everything that they say."""

    def __init__(self, servers: list[Server]) -> None:
        self._servers = servers
        self.answered: dict[str, list[tuple[int, str, str]]] = defaultdict(list)  # conversation -> (turn, said, reply)
        self.sent: dict[str, set[str]] = defaultdict(set)  # conversation -> words that may be in it
        self.given_up = 0
        self.tries = 0
        self.slowest = 0.0
        self.statuses: Counter[int] = Counter()
        self.is_over = False

    async def caller(self, number: int, session: aiohttp.ClientSession) -> None:
        chance = random.Random(number)
        while not self.is_over:
            opened = await self._until_answered(
                session, chance, "", {"clientEnv": "sandbox"}, f"open-{os.urandom(8).hex()}"
            )
            if opened is None:
                continue
            id = opened["conversationId"]
            self.answered[id].append((0, "", opened["response"]))
            for n in range(1, MESSAGES + 1):
                word = f"w{os.urandom(6).hex()}"
                self.sent[id].add(word)
                body = {"clientEnv": "sandbox", "message": f"act {word}"}
                reply = await self._until_answered(session, chance, f"/{id}", body, word)
                if reply is None:
                    break
                self.answered[id].append((n, f"act {word}", reply["response"]))
                if self.is_over:
                    return

    async def _until_answered(
        self, session: aiohttp.ClientSession, chance: random.Random, path: str, body: dict[str, Any], key: str
    ) -> dict[str, Any] | None:
        until, began = time.monotonic() + GIVE_UP_SECONDS, time.monotonic()
        while time.monotonic() < until:
            server = chance.choice(self._servers)
            headers = {"X-API-KEY": KEY, "Content-Type": "application/json", "Idempotency-Key": key}
            self.tries += 1
            try:
                url = f"{server.url}/v1/agents/tiny/debug-chat{path}"
                async with session.post(url, data=json.dumps(body), headers=headers) as reply:
                    raw = await reply.read()
                    self.statuses[reply.status] += 1
                    if reply.status in (200, 201):
                        self.slowest = max(self.slowest, time.monotonic() - began)
                        return dict(json.loads(raw))
                    if reply.status not in (409, 503):
                        raise RuntimeError(f"{reply.status}: {raw[:300]!r}")
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(chance.uniform(0.01, 0.1))
        self.given_up += 1
        return None


async def check(session: aiohttp.ClientSession, url: str, load: Load, sink: Sink) -> dict[str, int]:
    found: Counter[str] = Counter()
    for id, answered in load.answered.items():
        async with session.get(f"{url}/v1/agents/tiny/conversations/{id}", headers={"X-API-KEY": KEY}) as reply:
            if reply.status != 200:
                found["lost turns"] += len(answered)
                continue
            record = json.loads(await reply.read())
        turns = record["turns"]
        found["turns"] += len(turns)
        said = Counter(turn["user_input"] for turn in turns if turn["user_input"])
        found["duplicated turns"] += sum(count - 1 for count in said.values())
        for n, turn in enumerate(turns):
            is_whole = bool(turn["agent_response"]) and (n == 0) == (not turn["user_input"])
            found["half turns"] += not is_whole
            words = turn["agent_response"].split()
            if n and is_whole:
                found["turns out of order"] += words[1] != str(n) or f"act {words[0]}" != turn["user_input"]
        for n, message, response in answered:
            found["answered turns"] += 1
            is_there = n < len(turns) and (turns[n]["user_input"], turns[n]["agent_response"]) == (message, response)
            found["lost turns"] += not is_there
            word = message.removeprefix("act ")
            if word:
                found["effects"] += 1
                found["effects that did not happen"] += not sink.known[word]
                found["effects that were unsettled"] += response.endswith("unsettled")
        for word in load.sent[id]:
            found["effects with two keys"] += max(0, len(sink.known[word]) - 1)
            found["blind effects that happened twice"] += max(0, sink.blind[word] - 1)
    return dict(found)


WRONG = (
    "lost turns", "duplicated turns", "half turns", "turns out of order", "effects that did not happen",
    "effects with two keys", "blind effects that happened twice",
)  # fmt: skip


async def run(options: argparse.Namespace, work: Path, nursery: Nursery) -> dict[str, Any]:
    sink, folder = Sink(), work / "agent"
    address = await sink.start()
    for path, text in {
        "project.yaml": "project_id: tiny\naccount_id: acme\n",
        "agent_settings/rules.txt": "Be brief. {{fn:act}}",
        "voice/configuration.yaml": "greeting:\n  welcome_message: Hello.\n",
        "functions/act.py": FUNCTION.format(sink=address),
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (work / "model.yaml").write_text(MODEL)
    env = {
        "VIVAVOCE_API_KEY": KEY, "VIVAVOCE_SEAL_KEY": "07" * 32, "VIVAVOCE_RETRIEVAL": "lexical",
        "VIVAVOCE_LEASE_SECONDS": "1.5", "LOG": str(work / "server.log"), "VIVAVOCE_LOG_LEVEL": "error",
    }  # fmt: skip
    database = None
    if options.store == "postgres":
        sys.path.insert(0, str(HERE))
        from turn import PostgresServer

        database = PostgresServer(work)
        env["VIVAVOCE_DATABASE"] = database.url
    servers = []
    for n in range(options.servers):
        arguments = [
            "serve",
            str(folder),
            "--data",
            str(work / f"data{n}"),
            "--model",
            f"scripted:{work / 'model.yaml'}",
            "--no-reload",
        ]
        servers.append(Server(nursery, arguments, env))
    load, chance, began = Load(servers), random.Random(options.seed), time.monotonic()
    connector = aiohttp.TCPConnector(limit=64, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(20)) as session:
        for server in servers:
            await server.start(session)
        callers = [asyncio.create_task(load.caller(n, session)) for n in range(CALLERS)]
        kills = 0
        while kills < options.kills and time.monotonic() - began < options.seconds:
            await asyncio.sleep(chance.uniform(*LIFE))
            for caller in callers:
                if caller.done():
                    caller.result()
            server = chance.choice(servers)
            server.kill()
            kills += 1
            await server.start(session)
            if kills % 50 == 0:
                print(f"{kills} kills, {sum(map(len, load.answered.values()))} answers", file=sys.stderr, flush=True)
        load.is_over = True
        await asyncio.gather(*callers)
        found = await check(session, servers[0].url, load, sink)
    for server in servers:
        server.kill()
    if database is not None:
        database.stop()
    await sink.stop()
    seconds = time.monotonic() - began
    return {
        "kills": kills, "seconds": round(seconds), **found, "tries": load.tries, "given up": load.given_up,
        "statuses": dict(load.statuses), "longest wait for an answer s": round(load.slowest, 1),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=600.0, help="no more kills after that time")
    parser.add_argument("--servers", type=int, default=0, help="over one database; two on PostgreSQL")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.servers = options.servers or (2 if options.store == "postgres" else 1)
    work = Path(tempfile.mkdtemp(prefix="faults-"))
    nursery = Nursery()
    try:
        found = asyncio.run(run(options, work, nursery))
    finally:
        nursery.stop()
        if (work / "server.log").is_file() and (text := (work / "server.log").read_text()):
            print(text[-2000:], file=sys.stderr)
        shutil.rmtree(work, ignore_errors=True)
    print(f"{options.store}, {options.servers} server(s):")
    for name, value in found.items():
        print(f"  {name}: {value}")
    wrong = {name: found[name] for name in WRONG if found.get(name)}
    print("nothing is wrong" if not wrong else f"WRONG: {wrong}")
    return 1 if wrong or not found.get("answered turns") else 0


if __name__ == "__main__":
    sys.exit(main())
