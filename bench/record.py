"""How quickly the record answers as it grows: a generated store of conversations, asked over the store itself.

    python bench/record.py [--conversations 100000] [--folder DIR] [--json]

The store is built once (a progress bar shows it) and kept in the folder; conversations are small on disk, ten turns each,
and their vectors are random: what they find means nothing, how long it takes does. Each figure stands beside a floor of
the same machine and minute: one row read by its key from the same file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vivavoce.domain.conversation import Conversation, Metric, Snapshot, Turn, UserInput
from vivavoce.domain.record import Criteria, Listed, Meaning, Order, Review, Score, Summary, Text
from vivavoce.store import codec, facets
from vivavoce.store.interface import Store
from vivavoce.store.postgres import moving
from vivavoce.store.postgres.store import PostgresStore
from vivavoce.store.sealing import Keyring
from vivavoce.store.sqlite.store import SqliteStore
from vivavoce.store.statements import statements
from vivavoce.store.tables.vectors import packed as packed_vector

sys.path.insert(0, str(Path(__file__).parent))
from turn import PostgresServer  # noqa: E402

START = datetime(2024, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=700)
TURNS = 10
DIMENSIONS = 384
VOCABULARY = 20_000
SQL = statements("sqlite")
KEY = bytes(32)
DAYS = timedelta(days=1)
TARGETS = {"page": 25.0, "detail": 15.0, "words": 100.0, "sample": 50.0, "meaning": 150.0}  # ms, p99


def build(path: Path, count: int) -> None:
    """Writes rows as the store would, without waiting for the disk."""
    keyring = Keyring(KEY)
    asyncio.run(_made(path, keyring))
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA cache_size=-1000000")
    db.execute("PRAGMA temp_store=MEMORY")
    db.execute("DROP TRIGGER facet_added")
    chance = random.Random(7)
    vectors = np.random.default_rng(7)
    vocabulary = [f"word{n}" for n in range(VOCABULARY)]
    weights = list(accumulate(1 / (n + 1) for n in range(VOCABULARY)))  # a few words are most of what is said
    db.execute("INSERT INTO scopes (number, account_id, agent_id) VALUES (1, 'acme', 'bench')")
    hashed = {word: keyring.word(1, word) for word in vocabulary}
    columns = (TextColumn("building"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=count)
        db.execute("BEGIN")
        for n in range(count):
            _add(db, keyring, n, count, chance, vectors, vocabulary, weights, hashed)
            if n % 1000 == 999:
                db.execute("COMMIT")
                db.execute("BEGIN")
                progress.update(task, completed=n + 1)
        db.execute("INSERT INTO facet_counts SELECT facet, count(*) FROM facets GROUP BY facet")
        db.execute(
            "CREATE TRIGGER facet_added AFTER INSERT ON facets BEGIN INSERT INTO facet_counts (facet, count) VALUES (NEW.facet, 1)"
            " ON CONFLICT (facet) DO UPDATE SET count = count + 1; END"
        )
        db.execute("COMMIT")
        progress.update(task, completed=count)
    db.execute("ANALYZE")
    db.close()


async def _made(path: Path, keyring: Keyring) -> None:
    store = SqliteStore(path, keyring)
    await store.open()
    await store.close()


def _add(
    db: sqlite3.Connection, keyring: Keyring, n: int, count: int, chance: random.Random, vectors: Any,
    vocabulary: list[str], weights: list[float], hashed: dict[str, str],
) -> None:  # fmt: skip
    started = START + SPAN * n / count
    seconds = min(3600, int(chance.expovariate(1 / 180)) + 5)
    head = Conversation(
        account_id="acme",
        agent_id="bench",
        id=f"c{n}",
        environment=chance.choices(("live", "sandbox", "draft"), (90, 9, 1))[0],
        channel=chance.choices(("sip.polyai", "webchat.polyai", "sms.twilio"), (70, 29, 1))[0],
        tree="t",
        variant=f"site{chance.randrange(200)}",
        deployment_id=f"d{n * 20 // count}",
        language=chance.choices(("en-GB", "es-ES"), (95, 5))[0],
        started_at=started,
        last_turn_at=started + timedelta(seconds=seconds),
        finished_at=started + timedelta(seconds=seconds),
        end_reason="hangup",
        turns=TURNS,
        from_number=f"+4477009{chance.randrange(count):06d}",
        is_handoff=n % 5 == 0,
        handoff_destination="desk" if n % 5 == 0 else None,
    )
    if n > count - 20:
        head = replace(head, end_reason=None, finished_at=None)
    wrapped, seal = keyring.make()
    number = (started - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    score = chance.choice((None, 1, 2, 3, 4, 5))
    review = Review(
        tags=("vip",) if n % 1000 == 0 else (),
        summary=Summary(heading="A call", content="Somebody asked for something.", made_by="rules"),
        score=Score(value=score, made_by="rules"),
    )
    function = f"function{min(19, int(chance.expovariate(0.5)))}"
    found = (
        *facets.of_head(head), *facets.of_review(review), ("function", function), ("metric", "BOOKED"),
        ("metric", f"BOOKED\0{chance.choice(('true', 'false'))}"),
    )  # fmt: skip
    hashes = sorted({keyring.facet(1, name, value) for name, value in found})
    values = {
        "number": number, "scope": 1, "name": keyring.name("conversation", "acme", "bench", head.id),
        "seal": db.execute(SQL["add_seal"], {"wrapped": wrapped}).fetchone()[0], "turns": TURNS, "is_ended": head.is_ended,
        "duration": seconds if head.is_ended else None, "dice": int.from_bytes(os.urandom(4), "big"),
        "head": seal.close(msgspec.json.encode(head), b"head"),
    }  # fmt: skip
    db.execute(SQL["add_conversation"], values)
    db.execute(
        "UPDATE conversations SET review = ?, score = ?, facets = ? WHERE number = ?",
        (seal.close(msgspec.json.encode(review), b"review"), score, msgspec.msgpack.encode({"head": hashes}), number),
    )
    db.executemany("INSERT INTO facets VALUES (?, ?)", [(facet, number) for facet in hashes])
    db.execute(SQL["put_snapshot"], {"conversation": number, "body": seal.close(_SNAPSHOT, b"snapshot")})
    said: list[list[str]] = []
    rows = []
    for position in range(TURNS):
        line = chance.choices(vocabulary, cum_weights=weights, k=12)
        said.append(line)
        turn = Turn(
            index=position, started_at=started, finished_at=started, input=UserInput(text=" ".join(line[:6])),
            reply=" ".join(line[6:]), personal=(), metrics=(Metric(name="BOOKED", value=True, at=started),) if position == 3 else (),
        )  # fmt: skip
        body, rest, _ = codec.encode_turn(turn)
        rows.append(
            (number, position, seal.close(body, b"said:%d" % position), seal.close(rest, b"body:%d" % position), None)
        )
    db.executemany("INSERT INTO turns VALUES (?, ?, ?, ?, ?)", rows)
    user = " ".join(hashed[w] for line in said for w in line[:6])
    agent = " ".join(hashed[w] for line in said for w in line[6:])
    db.execute(SQL["add_words"], {"number": number, "user": user, "agent": agent})
    db.execute(SQL["add_redacted_words"], {"number": number, "user": user, "agent": agent})
    vector = vectors.standard_normal(DIMENSIONS, np.float32)
    packed = packed_vector((vector / np.linalg.norm(vector)).tolist())
    db.execute(
        SQL["put_vectors"], {"number": number, "scope": 1, "model": "bench", "plain": packed, "redacted": packed}
    )


_SNAPSHOT = codec.encode_snapshot(Snapshot())


async def taken(ask: Callable[[], Awaitable[Any]], times: int) -> list[float]:
    """Milliseconds of each time, in order of length; once more before, to warm up."""
    await ask()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


class Figures:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    async def measure(self, name: str, ask: Callable[[], Awaitable[Any]], times: int, target: float | None) -> None:
        found = await taken(ask, times)
        row = {
            "what": name,
            "p50_ms": statistics.median(found),
            "p99_ms": found[min(len(found) - 1, int(len(found) * 0.99))],
            "target_ms": target,
        }
        self.rows.append(row)
        mark = "" if target is None else ("  ok" if row["p99_ms"] <= target else "  MISSED")
        print(f"{name:44} {row['p50_ms']:9.2f} {row['p99_ms']:9.2f} {target or '':>8}{mark}", flush=True)


async def moved(path: Path, work: Path) -> PostgresServer:
    """The record in PostgreSQL, by the command's own way."""
    server, began = PostgresServer(work), time.perf_counter()
    await moving.move(path, server.url, Keyring(KEY), begun=lambda _: lambda _: None, checking=lambda _: lambda _: None)
    print(f"moved and compared in {time.perf_counter() - began:.0f} s")
    return server


async def ask_all(path: Path, count: int, times: int, url: str = "") -> list[dict[str, Any]]:
    store: Store = PostgresStore(url, Keyring(KEY)) if url else SqliteStore(path, Keyring(KEY))
    await store.open()
    figures, chance = Figures(), random.Random(3)
    place = ("acme", "bench")
    newest = Order()
    print(f"{count:,} conversations, {count * TURNS:,} turns, {await store.size() / 1e9:.2f} GB on disk")
    print(f"{'':44} {'p50 ms':>9} {'p99 ms':>9} {'target':>8}")

    db = sqlite3.connect(path)
    numbers = [row[0] for row in db.execute("SELECT number FROM conversations WHERE dice % 97 = 0 LIMIT 5000")]

    async def floor() -> None:
        db.execute("SELECT head FROM conversations WHERE number = ?", (chance.choice(numbers),)).fetchone()

    await figures.measure("floor: one row by its key", floor, 200, None)

    async def page(criteria: Criteria, order: Order = newest) -> None:
        found = await store.find(*place, criteria, order, limit=50)
        if found.next is not None:
            await store.find(*place, criteria, order, limit=50, after=found.next)

    def anywhere() -> Criteria:
        since = START + SPAN * chance.random() * 0.9
        return Criteria(since=since, until=since + 30 * DAYS)

    filters: dict[str, Callable[[], Criteria]] = {
        "no filter, newest": Criteria,
        "a date range": anywhere,
        "environment live": lambda: Criteria(environments=("live",)),
        "environment draft (1 %)": lambda: Criteria(environments=("draft",)),
        "channel": lambda: Criteria(channels=("webchat",)),
        "one variant of 200": lambda: Criteria(variants=(f"site{chance.randrange(200)}",)),
        "an old deployment": lambda: Criteria(deployments=("d2",)),
        "handoff": lambda: Criteria(handoff=True),
        "score 4 or more": lambda: Criteria(min_score=4),
        "tag (0.1 %)": lambda: Criteria(tags=("vip",)),
        "metric with value": lambda: Criteria(metrics=(("BOOKED", "true"),)),
        "function called": lambda: Criteria(functions=(f"function{chance.randrange(8)}",)),
        "contact": lambda: Criteria(contacts=(f"+4477009{chance.randrange(count):06d}",)),
        "in progress": lambda: Criteria(in_progress=True),
        "duration of 10 minutes or more": lambda: Criteria(min_duration=600),
        "duration of 58 minutes or more": lambda: Criteria(min_duration=3480),
        "live, handoff, one variant": lambda: Criteria(environments=("live",), handoff=True, variants=("site7",)),
    }
    for name, criteria in filters.items():
        await figures.measure(f"two pages of 50: {name}", lambda c=criteria: page(c()), times, TARGETS["page"] * 2)
    for by in ("duration", "score"):
        await figures.measure(
            f"two pages of 50, sorted by {by}", lambda b=by: page(Criteria(), Order(by=b)), times, TARGETS["page"] * 2
        )  # type: ignore[arg-type]

    after = None
    for _ in range(min(200, count // 5000)):
        found = await store.find(*place, Criteria(), newest, limit=5000, after=after)
        after = found.next or after

    async def deep() -> None:
        await store.find(*place, Criteria(), newest, limit=50, after=after)

    await figures.measure("page of 50 at the far end, by cursor", deep, times, TARGETS["page"])
    await figures.measure("count, no filter", lambda: store.count(*place, Criteria()), times, None)
    await figures.measure(
        "count, live and handoff",
        lambda: store.count(*place, Criteria(environments=("live",), handoff=True)),
        times,
        None,
    )

    async def detail() -> None:
        found = await store.listed(*place, f"c{chance.randrange(count)}")
        assert found is not None
        await store.turns(found.conversation)
        await store.closing(found.conversation)

    await figures.measure("detail", detail, times * 2, TARGETS["detail"])

    async def text(*phrases: tuple[str, ...]) -> None:
        criteria = Criteria(since=START, until=START + SPAN, text=Text(phrases=phrases))
        await store.find(*place, criteria, newest, limit=50)

    await figures.measure("full text: a common word", lambda: text(("word0",)), times, TARGETS["words"])
    await figures.measure(
        "full text: a middling word", lambda: text((f"word{chance.randrange(100, 500)}",)), times, TARGETS["words"]
    )
    await figures.measure(
        "full text: a rare word", lambda: text((f"word{chance.randrange(15_000, 20_000)}",)), times, TARGETS["words"]
    )
    await figures.measure(
        "full text: two words", lambda: text(("word3",), (f"word{chance.randrange(50, 200)}",)), times, TARGETS["words"]
    )
    await figures.measure("full text: a phrase", lambda: text(("word0", "word1")), times, TARGETS["words"])

    async def sample(criteria: Criteria) -> None:
        found = await store.sample(*place, criteria, limit=50)
        assert len(found) == 50 or criteria.tags

    await figures.measure(
        "sample of 50: everything", lambda: sample(Criteria(since=START, until=START + SPAN)), times, TARGETS["sample"]
    )
    await figures.measure(
        "sample of 50: live, 30 days",
        lambda: sample(replace(anywhere(), environments=("live",))),
        times,
        TARGETS["sample"],
    )
    rng = np.random.default_rng(5)

    async def alike(criteria: Criteria) -> None:
        vector = rng.standard_normal(DIMENSIONS, np.float32)
        asked = Meaning(vector=(vector / np.linalg.norm(vector)).tolist(), model="bench")
        assert len(await store.alike(*place, criteria, asked, limit=50)) == 50

    began = time.perf_counter()
    await alike(Criteria(since=START, until=START + SPAN))
    print(f"(the signs of all vectors were read once, in {time.perf_counter() - began:.1f} s)")
    await figures.measure(
        "semantic: everything (synthetic vectors)",
        lambda: alike(Criteria(since=START, until=START + SPAN)),
        times,
        TARGETS["meaning"],
    )

    await export(store, count, figures)
    await store.close()
    db.close()
    return figures.rows


async def export(store: Store, count: int, figures: Figures) -> None:
    """Conversations as the exports read and write them, in blocks: with their transcripts, and whole."""

    async def transcripts(listed: list[Listed]) -> None:
        said = await store.transcripts([item.conversation for item in listed])
        for item, transcript in zip(listed, said, strict=True):
            msgspec.json.encode((item, transcript.turns))

    async def records(listed: list[Listed]) -> None:
        for record in await store.records(listed):
            msgspec.json.encode(record)

    for what, carry in (("transcripts", transcripts), ("whole records", records)):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, done, after = time.perf_counter(), 0, None
        while done < min(count, 20_000):
            page = await store.find("acme", "bench", Criteria(), Order(is_descending=False), limit=200, after=after)
            await carry(page.items)
            done, after = done + len(page.items), page.next
            if after is None:
                break
        rate = done / (time.perf_counter() - began)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        figures.rows.append({"what": f"export of {what}, conversations/s", "rate": rate, "grown_mb": grown})
        print(f"export of {what}: {rate:,.0f} conversations/s (target 20,000), {grown:.0f} MB more memory (target 64)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/vivavoce-record"))  # noqa: S108  # a benchmark's own
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--store", choices=("sqlite", "postgres"), default="sqlite", help="postgres: the same record, moved"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / f"record-{options.conversations}.db"
    if not path.exists():
        began = time.perf_counter()
        build(path, options.conversations)
        print(f"built in {time.perf_counter() - began:.0f} s")
    server = asyncio.run(moved(path, Path(tempfile.mkdtemp(prefix="record-")))) if options.store == "postgres" else None
    rows = asyncio.run(ask_all(path, options.conversations, options.times, server.url if server else ""))
    if server is not None:
        server.stop()
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
