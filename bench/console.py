"""How quickly the console's pages answer on a large record, what they weigh, and how soon a first turn is seen.

    python bench/console.py [--conversations 100000] [--folder DIR] [--chromium PROGRAM] [--json]

The store is generated once (see bench/record.py) and kept in the folder; one conversation of 2,000 turns is added. A server of its
own serves it, pages are asked for one after another over one connection. Beside each figure stand a floor of the same minute, the
smallest answer the server can give, and a peer: the list that the API gives of the same 50 conversations.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec.structs import replace

import record
from vivavoce.domain.conversation import Conversation, Snapshot, Turn, UserInput
from vivavoce.domain.tally import step_of
from vivavoce.knowledge.embedded import packaged
from vivavoce.store.sealing import Keyring
from vivavoce.store.sqlite.store import SqliteStore

KEY = "bench-key"
LONG = 2_000  # turns
TARGET_MS = 100.0  # p95 of any page
TARGET_BYTES = 300_000  # of a first load
TARGET_FIRST_MS = 50.0  # of a first turn, beyond what the API takes
AGENT = {
    "project.yaml": "project_id: bench\naccount_id: acme\nregion: local\n",
    "agent_settings/personality.yaml": "adjectives:\n  Polite: true\ncustom: ''\n",
    "agent_settings/role.yaml": "value: clerk\nadditional_info: ''\ncustom: ''\n",
    "agent_settings/rules.txt": "Be brief.\n",
    "voice/configuration.yaml": "greeting:\n  welcome_message: Hello, this is the bench.\n  language_code: en-GB\nstyle_prompt:\n  prompt: ''\n",
    "topics/opening_hours.yaml": "name: opening hours\nenabled: true\nactions: ''\ncontent: We are open from nine to five.\nexample_queries:\n  - When are you open?\n",
}  # fmt: skip


def build(folder: Path, count: int) -> Path:
    path = folder / f"console-{count}.db"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.unlink(missing_ok=True)
    record.START = datetime.now(UTC) - record.SPAN  # up to today
    record.build(beside, count)
    db = sqlite3.connect(beside)
    db.execute("UPDATE conversations SET is_tallied = 1")
    embedder = packaged()
    if embedder is not None:
        db.execute("UPDATE vectors SET model = ?", (embedder.name,))
    _add_tallies(db, count)
    db.commit()
    db.close()
    asyncio.run(_add_long(beside))
    beside.rename(path)
    return path


def _add_tallies(db: sqlite3.Connection, count: int) -> None:
    """As so many conversations would have left them, with a hundred topics and twenty functions."""
    a_day = max(1, count // record.SPAN.days)
    for n in range(record.SPAN.days + 1):
        day = (record.START + timedelta(days=n)).date().isoformat()
        for environment, part in (("live", 9), ("sandbox", 1)):
            number = max(1, a_day * part // 10)
            outcome = {"conversations": number, "handoffs": number // 5, "failed": number // 20, "turns": number * 10}
            outcome |= {"seconds": number * 180, "scored": number // 2, "scores": number * 2, "tokens": number * 9_000}
            outcome |= {f"latency\0{step_of(200 + 30 * k)}": number // 4 + 1 for k in range(40)}
            inside = {f"retrieved\0topic {k}": number for k in range(100)} | {
                f"cited\0topic {k}": 1 for k in range(100)
            }
            inside |= {f"{kind}\0function{k}": number for kind in ("calls", "ms", "errors") for k in range(20)}
            inside |= {f"step\0flow/step {k}": number for k in range(50)}
            inside |= {f"move\0flow/step {k}\0flow/step {k + 1}": number for k in range(50)}
            for name, counts in (("outcome", outcome), ("inside", inside)):
                body = msgspec.msgpack.encode(counts)
                db.execute("INSERT INTO tallies VALUES (1, ?, ?, ?, ?)", (name, day, environment, body))


async def _add_long(path: Path) -> None:
    store = SqliteStore(path, Keyring(record.KEY))
    await store.open()
    began = datetime.now(UTC) - timedelta(hours=3)
    head = Conversation(
        account_id="acme", agent_id="bench", id="long", environment="live", channel="sip.polyai", tree="t", started_at=began,
        last_turn_at=began, turns=1,
    )  # fmt: skip
    for index in range(LONG):
        at = began + timedelta(seconds=5 * index)
        turn = Turn(
            index=index, started_at=at, finished_at=at, personal=(), reply=f"And so on, for the {index}th time, at some length.",
            input=UserInput(text=f"What comes after {index}?" if index else ""),
        )  # fmt: skip
        head = replace(head, turns=index + 1, last_turn_at=at)
        if index == 0:
            await store.create(head, turn, Snapshot())
        else:
            await store.append(head, turn, Snapshot())
    await store.end(replace(head, end_reason="hangup", finished_at=head.last_turn_at))
    await store.close()


class Server:
    def __init__(self, folder: Path, database: Path) -> None:
        agent = folder / "bench"
        for name, text in AGENT.items():
            (agent / name).parent.mkdir(parents=True, exist_ok=True)
            (agent / name).write_text(text)
        environ = {
            **os.environ, "VIVAVOCE_API_KEY": KEY, "VIVAVOCE_SEAL_KEY": record.KEY.hex(), "VIVAVOCE_DATABASE": f"sqlite:///{database}",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vivavoce", "serve", str(agent), "--data", str(folder / "data"), "--model", "local", "--port", "0", "--json"],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address: str = json.loads(self.process.stdout.readline())["address"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


class Visitor:
    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self.session, self.address = session, address

    async def sign_in(self) -> None:
        text = await self.get("/console/sign-in")
        token = re.search(r'name="csrf" value="(\w+)"', text)
        assert token is not None
        form = {"csrf": token[1], "key": KEY, "next": ""}
        async with self.session.post(self.address + "/console/sign-in", data=form) as reply:
            assert reply.status == 200, reply.status

    async def get(self, path: str, **headers: str) -> str:
        async with self.session.get(self.address + path, headers=headers) as reply:
            assert reply.status in (200, 204), (path, reply.status)
            return await reply.text()

    async def weight(self, path: str) -> int:
        """Bytes of a first load as they travel: the page, and all that it names."""
        page = await self.get(path)
        names = set(re.findall(r'(?:src|href)="(/console/assets/[^"#]+)"', page))
        total = len(page.encode())
        seen: set[str] = set()
        while names - seen:
            name = (names - seen).pop()
            seen.add(name)
            async with self.session.get(self.address + name, headers={"Accept-Encoding": "gzip"}) as reply:
                body = await reply.text()
                total += int(reply.headers["Content-Length"])
            folder = name.rpartition("/")[0]
            if name.endswith(".js") and "/vendor/" not in name:  # modules name others
                names |= {f"{folder}/{found}" for found in re.findall(r'(?:from|import\() ?"\./([^"]+)"', body)}
        return total


async def measured(ask: Callable[[], Awaitable[Any]], times: int) -> tuple[float, float]:
    """(p50, p95) in milliseconds."""
    found = await record.taken(ask, times)
    return statistics.median(found), found[int(len(found) * 0.95)]


async def pages(server: Server, count: int, times: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    base = "/console/agents/bench"
    number = 0

    def some() -> str:
        nonlocal number
        number = (number + 7919) % (count - 100)
        return f"c{number}"

    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        visitor = Visitor(session, server.address)
        await visitor.sign_in()
        cursor = re.search(r'rel="next" href="[^"]*\?([^"]+)"', await visitor.get(f"{base}/conversations"))
        assert cursor is not None
        next_page = cursor[1].replace("&amp;", "&")
        api = {"X-API-KEY": KEY}
        asked: list[tuple[str, Callable[[], str], dict[str, str]]] = [
            ("floor: /healthz", lambda: "/healthz", {}),
            ("peer: the API's list of 50", lambda: "/v1/agents/bench/conversations", api),
            ("home", lambda: "/console", {}),
            ("home, 90 days", lambda: "/console?days=90", {}),
            ("conversations", lambda: f"{base}/conversations", {}),
            ("conversations, next page", lambda: f"{base}/conversations?{next_page}", {}),
            ("conversations, four filters", lambda: f"{base}/conversations?clientEnv=live&handoff=true&minScore=3&variantId=site7", {}),
            ("conversations, sorted by score", lambda: f"{base}/conversations?sort=-polyScore", {}),
            ("conversations, sorted by duration", lambda: f"{base}/conversations?sort=duration", {}),
            ("conversations, with a metric", lambda: f"{base}/conversations?columns=summary&columns=metric:BOOKED", {}),
            ("search by words, common", lambda: f"{base}/conversations?queryType=transcript&query=word0", {}),
            ("search by words, a phrase", lambda: f"{base}/conversations?queryType=transcript&query=%22word0+word1%22", {}),
            ("search by meaning", lambda: f"{base}/conversations?queryType=semantic&query=when+are+you+open", {}),
            ("going on, asked again", lambda: f"{base}/live?state=none", {"HX-Request": "true"}),
            ("review, 10 turns", lambda: f"{base}/conversations/{some()}", {}),
            (f"review, {LONG:,} turns", lambda: f"{base}/conversations/long", {}),
            (f"review, {LONG:,} turns, at turn 1,500", lambda: f"{base}/conversations/long?turn=1500", {}),
            ("prompt of a turn", lambda: f"{base}/conversations/{some()}/turns/3/prompt", {}),
            ("agent", lambda: base, {}),
            ("agent, with a question", lambda: f"{base}?q=when+are+you+open", {}),
            ("talk", lambda: f"{base}/talk", {}),
            ("operations", lambda: "/console/operations", {}),
        ]  # fmt: skip
        print(f"{count:,} conversations\n{'':44} {'p50 ms':>9} {'p95 ms':>9} {'target':>8}")
        for name, path, headers in asked:
            p50, p95 = await measured(lambda p=path, h=headers: visitor.get(p(), **h), times)  # type: ignore[misc]
            target = TARGET_MS if ":" not in name else None
            mark = "" if target is None else "  ok" if p95 <= target else "  MISSED"
            print(f"{name:44} {p50:9.2f} {p95:9.2f} {target or '':>8}{mark}", flush=True)
            rows.append({"what": name, "p50_ms": p50, "p95_ms": p95, "target_ms": target})
        print(f"\n{'first load, as it travels':44} {'KB':>9} {'':>9} {'target':>8}")
        for name, path, _ in asked:
            if name in (
                "home",
                "conversations",
                "review, 10 turns",
                f"review, {LONG:,} turns",
                "agent",
                "talk",
                "operations",
            ):
                weight = await visitor.weight(path())
                mark = "  ok" if weight <= TARGET_BYTES else "  MISSED"
                print(f"{name:44} {weight / 1000:9.1f} {'':9} {TARGET_BYTES / 1000:8.0f}{mark}")
                rows.append({"what": f"first load: {name}", "bytes": weight, "target_bytes": TARGET_BYTES})
        weight = await visitor.weight("/console/sign-in")
        print(f"{'sign-in':44} {weight / 1000:9.1f}")
        rows.append(await first_turn_api(session, server.address, times))
    return rows


async def first_turn_api(session: aiohttp.ClientSession, address: str, times: int) -> dict[str, Any]:
    async def ask() -> None:
        url = f"{address}/v1/agents/bench/debug-chat"
        async with session.post(url, json={"clientEnv": "sandbox"}, headers={"X-API-KEY": KEY}) as reply:
            assert reply.status == 201
            await reply.read()

    p50, p95 = await measured(ask, times)
    print(f"\n{'first turn, answered by the API':44} {p50:9.2f} {p95:9.2f}")
    return {"what": "first turn: API", "p50_ms": p50, "p95_ms": p95}


def first_turn_seen(server: Server, chromium: str, times: int) -> dict[str, Any]:
    """From the press of Start to the greeting on the screen."""
    from playwright.sync_api import sync_playwright  # only where it is asked for

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{server.address}/console/sign-in#key={KEY}")
        page.wait_for_url("**/console")
        page.goto(f"{server.address}/console/agents/bench/talk")
        watch = """() => new Promise((done) => {
          const log = document.getElementById("log");
          const began = performance.now();
          const seen = new MutationObserver(() => {
            if (!log.querySelector(".bubble.agent")?.textContent.trim()) return;
            seen.disconnect();
            requestAnimationFrame(() => done(performance.now() - began));
          });
          seen.observe(log, { childList: true, subtree: true, characterData: true });
          document.getElementById("begin").click();
        })"""
        taken = []
        for _ in range(times):
            taken.append(page.evaluate(watch))
            page.locator("#begin:enabled").wait_for()
        browser.close()
    taken.sort()
    p50, p95 = statistics.median(taken[1:]), taken[int(len(taken) * 0.95)]
    print(f"{'first turn, seen in the browser':44} {p50:9.2f} {p95:9.2f}")
    return {"what": "first turn: seen", "p50_ms": p50, "p95_ms": p95}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "vivavoce-bench")
    parser.add_argument("--times", type=int, default=60)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    server = Server(given.folder, build(given.folder, given.conversations))
    try:
        rows = asyncio.run(pages(server, given.conversations, given.times))
        if given.chromium:
            rows.append(first_turn_seen(server, given.chromium, 30))
            api, seen = rows[-2]["p50_ms"], rows[-1]["p50_ms"]
            mark = "ok" if seen - api <= TARGET_FIRST_MS else "MISSED"
            print(f"{'later than the API':44} {seen - api:9.2f} {'':9} {TARGET_FIRST_MS:8.1f}  {mark}")
    finally:
        server.stop()
    if given.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
