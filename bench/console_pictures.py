"""Pictures of every page of the console, in light and dark, for docs/pictures: `make pictures`.

A server of its own serves the example agent; a call and some conversations are really held. What Home shows of the days before
today is generated.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Page, sync_playwright

from vivavoce.domain.tally import step_of

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "pictures"
AGENT = "/console/agents/bike-workshop"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
TALKS = (
    ("My back tyre is flat, can you do it on Thursday?", "the second one", "Sam Field", "oh one six three two, nine six oh five double five", "yes please", "no thanks, that's all"),
    ("Do you work on electric bikes?", "How much is a service?", "no thanks, that's all"),
    ("Is my bike ready?", "one oh four two", "no thanks, that's all"),
    ("Can I speak to a person?",),
    ("Where are you?", "Can I park there?", "no thanks, that's all"),
)  # fmt: skip


def generated(database: Path) -> None:
    """The days before today, as so many conversations would have left them."""
    chance = random.Random(4)
    db = sqlite3.connect(database)
    (scope,) = db.execute("SELECT number FROM scopes WHERE agent_id = 'bike-workshop'").fetchone()
    for n in range(1, 30):
        day = (datetime.now(UTC) - timedelta(days=n)).date()
        count = max(4, round((38 if day.weekday() < 5 else 14) + chance.gauss(0, 5)))
        scored = count * 7 // 10
        counts = {
            "conversations": count,
            "handoffs": round(count * chance.uniform(0.08, 0.2)),
            "failed": chance.randrange(3),
            "turns": count * 6,
        }
        counts |= {"seconds": count * 140, "scored": scored, "scores": round(scored * chance.uniform(3.8, 4.5))}
        for _ in range(count * 6):
            step = f"latency\0{step_of(chance.lognormvariate(6.7, 0.35))}"
            counts[step] = counts.get(step, 0) + 1
        db.execute(
            "INSERT INTO tallies VALUES (?, 'outcome', ?, 'sandbox', ?)",
            (scope, day.isoformat(), msgspec.msgpack.encode(counts)),
        )
    db.commit()
    db.close()


def ask(address: str, path: str, body: Any = None, method: str | None = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(
        address + path, data, {"X-API-KEY": "demo", "Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request) as reply:
        return json.loads(reply.read())


def record(address: str) -> str:
    chat = "/v1/agents/bike-workshop/debug-chat"
    first = ""
    for n, lines in enumerate(TALKS):
        opening = {
            "clientEnv": "sandbox",
            "callerNumber": f"+44163296014{n}",
            "variantId": ("Riverside", "Old Town")[n % 2],
        }
        id = ask(address, chat, opening)["conversationId"]
        first = first or id
        for line in lines:
            ask(address, f"{chat}/{id}", {"clientEnv": "sandbox", "message": line})
    ask(address, chat, {"clientEnv": "sandbox", "callerNumber": "+441632960177"})
    path = f"/v1/agents/bike-workshop/conversations/{first}"
    marks = [{"turnId": 1, "role": "agent", "annotationType": "good_response"}]
    ask(address, f"{path}/annotations", {"annotations": marks})
    ask(address, f"{path}/tags", {"tags": ["booking"]}, "PUT")
    return str(first)


def shoot(page: Page, address: str, scheme: str, booked: str, call: str) -> None:
    conversations = f"{AGENT}/conversations"
    page.goto(f"{address}/console/sign-in?next=/console")
    page.wait_for_timeout(300)
    page.screenshot(path=OUT / f"sign-in-{scheme}.png")
    page.goto(f"{address}/console/sign-in#key=demo")
    page.wait_for_url("**/console")
    pages = {
        "home": "/console",
        "conversations": conversations,
        "search": f"{conversations}?queryType=transcript&query=tyre&clientEnv=sandbox",
        "review": f"{conversations}/{booked}?layers=variables&layers=flows&layers=calls&layers=topics&layers=latency",
        "call": f"{conversations}/{call}?turn=1",
        "prompt": f"{conversations}/{booked}/turns/1/prompt",
        "agent": f"{AGENT}?q=do+you+fix+e-bikes%3F",
        "operations": "/console/operations",
        "voice": f"{AGENT}/talk?mode=call",
        "not-found": f"{conversations}/none",
    }
    for name, path in pages.items():
        page.goto(address + path)
        page.wait_for_timeout(700)
        page.screenshot(path=OUT / f"{name}-{scheme}.png")
    page.goto(f"{address}{AGENT}/talk")
    page.click("#begin")
    page.wait_for_selector("#turn-0")
    page.fill("#say input", TALKS[0][0])
    page.click("#say .primary")
    page.wait_for_selector("#turn-1")
    page.wait_for_timeout(400)
    page.locator("#turn-1").evaluate("turn => turn.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(200)
    page.screenshot(path=OUT / f"talk-{scheme}.png")
    page.click("#end")


def main() -> None:
    if not CHROMIUM:
        raise SystemExit("Chromium is needed; name it with CHROMIUM.")
    OUT.mkdir(parents=True, exist_ok=True)
    folder = str(ROOT / "examples" / "bike-workshop")
    with tempfile.TemporaryDirectory() as data:
        vivavoce = [sys.executable, "-m", "vivavoce"]
        script = str(ROOT / "examples" / "calls" / "booking.yaml")
        subprocess.run(
            [*vivavoce, "call", folder, "--script", script, "--fast", "--data", data, "--out", f"{data}/call.wav", "--model", "local"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        generated(Path(data) / "vivavoce.db")
        server = subprocess.Popen(
            [*vivavoce, "serve", folder, "--data", data, "--model", "local", "--port", "0", "--json"],
            env={**os.environ, "VIVAVOCE_API_KEY": "demo"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["address"]
        call = ask(address, "/v1/agents/bike-workshop/conversations")["conversations"][0]["conversationId"]
        booked = record(address)
        time.sleep(4)  # until they are summed up
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme=scheme)  # type: ignore[arg-type]  # one of its two
                shoot(context.new_page(), address, scheme, booked, call)
                context.close()
            browser.close()
        server.terminate()
        server.wait()
    print(f"{len(list(OUT.glob('*.png')))} pictures in {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
