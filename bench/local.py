"""How well the embedded model does with the example agent: single utterances, and whole bookings.

The labelled sets in bench/data were written by somebody who had not seen the rules. A hash of each line puts it into the
tuning half or the held-out half; only the held-out figures count.  `python bench/local.py [--tune] [--errors]`
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

from vivavoce import settings
from vivavoce.knowledge.embedded import packaged
from vivavoce.service.chats import Opening, Said, Taken
from vivavoce.service.keys import OPERATOR
from vivavoce.wiring import Running, running

ROOT = Path(__file__).parent.parent
MONDAY = datetime.fromisoformat("2026-11-23T09:30:00+00:00")


def is_tuning(line: str) -> bool:
    return hashlib.sha256(line.encode()).digest()[0] % 2 == 0


def read(name: str, tune: bool) -> list[dict]:
    lines = (ROOT / "bench/data" / name).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip() and is_tuning(line.strip()) == tune]


async def ask(started: Running, *lines: str) -> list[Taken]:
    chats = started.services.chats
    taken = await chats.open(OPERATOR, "bike-workshop", Opening(environment="sandbox", simulated_at=MONDAY.isoformat()))
    found = [taken]
    for line in lines:
        found.append(await chats.respond(OPERATOR, "bike-workshop", taken.conversation.id, Said(text=line)))
    return found


def judged(taken: Taken) -> str:
    turn = taken.turn
    if turn.calls:
        return f"call:{turn.calls[0].name}"
    named = [name for e in turn.exchanges if e.reply for name in e.reply.cited_topics]
    return named[0] if named else "unknown"


async def utterances(started: Running, tune: bool, show: bool) -> tuple[int, int]:
    right, rows = 0, read("utterances.jsonl", tune)
    confused: Counter[str] = Counter()
    for row in rows:
        got = judged((await ask(started, row["said"]))[-1])
        if got == row["expect"]:
            right += 1
        else:
            confused[row["expect"]] += 1
            if show:
                print(f"  {row['said']!r}: wanted {row['expect']}, got {got}")
    return right, len(rows)


async def booking(started: Running, row: dict, show: bool) -> bool:
    """Plays the caller: answers what was asked, by the step the agent stands in and the question it put."""
    chats = started.services.chats
    opened = await chats.open(
        OPERATOR, "bike-workshop", Opening(environment="sandbox", simulated_at=MONDAY.isoformat())
    )
    answers, said, log = row["answers"], row["opening"], []
    taken = opened
    for _ in range(12):
        taken = await chats.respond(OPERATOR, "bike-workshop", opened.conversation.id, Said(text=said))
        log.append((said, taken.turn.reply))
        view = {k: json.loads(bytes(v)) for k, v in taken.snapshot.view.items()}
        if view.get("outcome") == "booked":
            break
        reply, step = taken.turn.reply.lower(), taken.turn.place_after.step
        if step == "Pick a time":
            times = view.get("times") or []
            clock = datetime.strptime(times[0], "%H:%M")
            said = answers["time"].replace(
                "{time}", clock.strftime("%-I %p" if clock.minute == 0 else "%-I:%M").lower()
            )
        elif step == "Confirm":
            said = answers["confirm"]
        elif step == "Who":
            said = answers["phone"] if "number" in reply else answers["name"]
        elif "which" in reply and "day" in reply:
            said = answers["day"]
        else:
            said = answers["service"]
    expect = row["expect"]
    wanted = MONDAY + timedelta(days=1) if expect["day"] == "tomorrow" else None
    day = datetime.fromisoformat(view["wanted_day"]) if view.get("wanted_day") else None
    good = (
        view.get("outcome") == "booked"
        and view.get("service") == expect["service"]
        and day is not None
        and (day.date() == wanted.date() if wanted else day.strftime("%A").lower() == expect["day"].lower())
        and str(view.get("customer_name")).lower() == expect["name"].lower()
        and view.get("phone_number", "").lstrip("+") == expect["phone"]
    )
    if show and not good:
        print(
            f"  wanted {expect}\n  got { ({k: view.get(k) for k in ('outcome', 'service', 'wanted_day', 'customer_name', 'phone_number')}) }"
        )
        for user, agent in log:
            print(f"    U: {user}\n    A: {agent}")
    return good


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tune", action="store_true", help="the half that rules may be tuned on")
    parser.add_argument("--errors", action="store_true", help="show what went wrong (only with --tune)")
    options = parser.parse_args()
    show = options.errors and options.tune
    half = "tuning" if options.tune else "held-out"
    embedder = packaged()
    if embedder is not None:
        embedder.embed(["warm"])
        began = time.perf_counter()
        for n in range(100):
            embedder.embed([f"can I bring my bike in on the {n}th please"])
        print(f"Embedding one question: {(time.perf_counter() - began) * 10:.1f} ms\n")
    print(f"| {half} | right | of | share |\n|---|---|---|---|")
    for retrieval in ("hybrid", "lexical"):
        os.environ["VIVAVOCE_RETRIEVAL"] = retrieval
        config = settings.load(data=tempfile.mkdtemp(), model="local")
        async with running(config, folders=(ROOT / "examples/bike-workshop",), in_memory=True) as started:
            right, total = await utterances(started, options.tune, show)
            print(f"| utterances, {retrieval} | {right} | {total} | {right / total:.0%} |")
            rows = read("bookings.jsonl", options.tune)
            done = [await booking(started, row, show) for row in rows]
            print(f"| whole bookings, {retrieval} | {sum(done)} | {len(done)} | {sum(done) / len(done):.0%} |")


if __name__ == "__main__":
    asyncio.run(main())
