"""A database of an earlier version is carried over whole, and nothing of it stays in plain sight."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from tests.support.talk import run
from vivavoce.domain.record import Criteria, Order
from vivavoce.store.interface import StoreError
from vivavoce.store.sealing import Keyring
from vivavoce.store.sqlite.store import SqliteStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HEAD = {
    "account_id": "acme", "agent_id": "bot", "id": "c-ZQXCANARY", "environment": "sandbox", "channel": "chat.polyai",
    "tree": "t", "started_at": NOW.isoformat(), "last_turn_at": NOW.isoformat(), "turns": 2, "from_number": "+4477009",
}  # fmt: skip
TURNS = [
    {"index": 0, "started_at": NOW.isoformat(), "finished_at": NOW.isoformat(), "reply": "Hello"},
    {
        "index": 1, "started_at": NOW.isoformat(), "finished_at": NOW.isoformat(), "reply": "Which day, ZQXCANARY?",
        "input": {"text": "I am ZQXCANARY", "metadata": {"a": 1}}, "tts_language": "en-GB",
        "metrics": [{"name": "M", "value": "ZQXCANARY", "at": NOW.isoformat()}],
    },
]  # fmt: skip


def old_database(path: Path) -> None:
    """As version 0.1 left it, with two conversations that began in the same microsecond."""
    db = sqlite3.connect(path)
    folder = resources.files("vivavoce.store").joinpath("sql", "sqlite", "migrations")
    for name in ("0001_record.pre.sql", "0002_facts_and_deliveries.pre.sql"):
        db.executescript(folder.joinpath(name).read_text())
    db.execute("PRAGMA user_version=2")
    encode = msgspec.json.encode
    for number, id_ in ((1, "c-ZQXCANARY"), (2, "twin")):
        db.execute(
            "INSERT INTO conversations VALUES (?, 'acme', 'bot', ?, ?, 2, ?, ?)",
            (
                number,
                id_,
                NOW.isoformat(),
                number == 2,
                encode({**HEAD, "id": id_, **({"end_reason": "client"} if number == 2 else {})}),
            ),
        )
        for turn in TURNS:
            body = encode({"v": 1, "turn": turn})
            db.execute("INSERT INTO turns VALUES (?, ?, ?, ?)", (number, turn["index"], body, b"\x80ZQXCANARY"))
        snapshot = encode({"v": 1, "snapshot": {"tts_language": "en-GB"}})
        db.execute(
            "INSERT INTO snapshots VALUES (?, ?, ?, ?)", (number, snapshot, b"\x80pickle", b'{"name":"ZQXCANARY"}')
        )
    closing = encode({"v": 1, "closing": {"metrics": [{"name": "END", "value": 1, "at": NOW.isoformat()}]}})
    db.execute("INSERT INTO closings VALUES (1, ?)", (closing,))
    delivery = encode({"message_id": "m", "status": "sent", "provider": "p", "at": NOW.isoformat()})
    db.execute("INSERT INTO deliveries VALUES (1, 'm', ?)", (delivery,))
    fact = ("acme", "bot", "memory", "k", encode({"name": "ZQXCANARY"}), NOW.isoformat(), None)
    db.execute("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)", fact)
    payload = encode({"account": "acme", "agent": "bot", "id": "c-ZQXCANARY"})
    work = ("idle_end", "acme/bot/c-ZQXCANARY", NOW.isoformat(timespec="microseconds"), None, None, 0, payload)
    db.execute("INSERT INTO work VALUES (?, ?, ?, ?, ?, ?, ?)", work)
    db.commit()
    db.close()


def test_an_old_record_is_carried_over_and_put_under_seal(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    old_database(path)
    assert b"ZQXCANARY" in path.read_bytes()

    async def check() -> None:
        store = SqliteStore(path, Keyring(bytes(32)))
        await store.open()
        found = await store.find("acme", "bot", Criteria(), Order(is_descending=False), limit=9)
        assert [item.conversation.id for item in found.items] == ["c-ZQXCANARY", "twin"]
        head = found.items[0].conversation
        assert head.from_number == "+4477009" and head.turns == 2
        greeting, second = await store.turns(head)
        assert greeting.reply == "Hello" and second.reply == "Which day, ZQXCANARY?"
        assert second.input.text == "I am ZQXCANARY" and second.input.metadata == {"a": 1}
        assert [m.value for m in second.metrics] == ["ZQXCANARY"] and second.personal is None
        snapshot = await store.snapshot(head)
        assert snapshot.state == b"\x80pickle" and bytes(snapshot.view["name"]) == b'"ZQXCANARY"'
        closing = await store.closing(head)
        assert closing is not None and closing.metrics[0].name == "END"
        assert [d.status for d in await store.deliveries(head)] == ["sent"]
        fact = await store.get_fact("acme", "bot", "memory", "k", NOW)
        assert fact is not None and fact.body == {"name": "ZQXCANARY"}
        (claimed,) = await store.claim_work(NOW, NOW + timedelta(seconds=9), limit=9)
        assert (claimed.work.kind, claimed.work.subject) == ("idle_end", head.subject)
        later = datetime(2999, 1, 1, tzinfo=UTC)
        found_work = await store.claim_work(later, later + timedelta(seconds=9), limit=9)
        assert [(c.work.kind, c.work.subject) for c in found_work if c.work.kind == "review"] == [
            ("review", found.items[1].conversation.subject)  # what had ended is made searchable
        ]
        await store.close()

    run(check())
    assert not any(b"ZQXCANARY" in file.read_bytes() for file in tmp_path.iterdir())


def test_a_record_opens_only_with_the_key_that_it_was_sealed_with(tmp_path: Path) -> None:
    async def open_with(key: bytes) -> None:
        store = SqliteStore(tmp_path / "store.db", Keyring(key))
        await store.open()
        await store.close()

    run(open_with(bytes(32)))
    with pytest.raises(StoreError, match="sealed with another key"):
        run(open_with(b"x" * 32))
    run(open_with(bytes(32)))
