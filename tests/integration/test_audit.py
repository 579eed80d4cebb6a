"""The audit log: who saw personal data and who changed what; any change to it is found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_access import key
from tests.integration.test_erasure import CANARY, LIST, http, planted
from tests.support.http import Api
from tests.support.talk import run
from vivavoce.domain.audit import AuditEntry
from vivavoce.store.sealing import Keyring
from vivavoce.store.sqlite.store import SqliteStore


def test_reads_of_personal_data_and_changes_are_on_record_without_saying_whose(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        id = await planted(http)
        reader = await key(http, "read")
        await http.call("GET", f"{LIST}/{id}", key=reader)  # sees nothing personal: not on record
        await http.call("GET", LIST, key=reader)
        await http.call("GET", f"{LIST}/{id}")
        await http.call("GET", LIST)
        await http.call("GET", "/v3/acme/tiny/conversations?client_env=sandbox")
        receipt = (await http.call("DELETE", f"{LIST}/{id}"))[1]
        entries = (await http.call("GET", "/v1/audit"))[1]["entries"]
        assert [e["action"] for e in entries] == [
            "conversation.note", "conversation.tags", "conversation.annotate", "key.create", "conversation.read",
            "conversations.read", "conversations.read", "conversation.erase",
        ]  # fmt: skip
        assert CANARY not in json.dumps(entries) and {e["keyId"] for e in entries} == {"operator"}
        subjects = {e["subject"] for e in entries if e["action"].startswith("conversation.")}
        assert subjects == {receipt["subject"]} and receipt["id"] == entries[-1]["detail"]["receipt"]
        verdict = (await http.call("GET", "/v1/audit/verify"))[1]
        assert verdict["isWhole"] is True and verdict["entries"] == 8 and verdict["head"] == entries[-1]["hash"]
        rest = (await http.call("GET", "/v1/audit?after=7"))[1]["entries"]
        assert [e["number"] for e in rest] == [8]

    http(tmp_path, check)


def test_an_account_sees_its_own_entries_and_only_the_operator_verifies(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await planted(http)
        rival = await key(http, "admin", account="rival")
        entries = (await http.call("GET", "/v1/audit", key=rival))[1]["entries"]
        assert [(e["action"], e["accountId"]) for e in entries] == [("key.create", "rival")]
        assert (await http.call("GET", "/v1/audit/verify", key=rival))[0] == 403

    http(tmp_path, check)


def _change(db: sqlite3.Connection) -> None:
    db.execute("UPDATE audit SET body = replace(body, 'k3', 'k4') WHERE number = 3")


def _swap(db: sqlite3.Connection) -> None:
    db.execute("UPDATE audit SET number = -1 WHERE number = 2")
    db.execute("UPDATE audit SET number = 2 WHERE number = 3")
    db.execute("UPDATE audit SET number = 3 WHERE number = -1")


MUTATIONS: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "changed": _change,
    "changed time": lambda db: db.execute("UPDATE audit SET body = replace(body, '2026', '2025') WHERE number = 1"),
    "changed hash": lambda db: db.execute("UPDATE audit SET hash = zeroblob(32) WHERE number = 5"),
    "dropped first": lambda db: db.execute("DELETE FROM audit WHERE number = 1"),
    "dropped": lambda db: db.execute("DELETE FROM audit WHERE number = 3"),
    "dropped last": lambda db: db.execute("DELETE FROM audit WHERE number = 5"),
    "dropped all": lambda db: db.execute("DELETE FROM audit"),
    "dropped and closed up": lambda db: (
        db.execute("DELETE FROM audit WHERE number = 3"), db.execute("UPDATE audit SET number = 3 WHERE number = 4"),
        db.execute("UPDATE audit SET number = 4 WHERE number = 5"),
    ),
    "swapped": _swap,
    "doubled": lambda db: db.execute("INSERT INTO audit SELECT 6, body, hash FROM audit WHERE number = 5"),
    "head dropped": lambda db: db.execute("DELETE FROM audit_head"),
    "head moved back": lambda db: (
        db.execute("DELETE FROM audit WHERE number = 5"),
        db.execute("UPDATE audit_head SET number = 4, hash = (SELECT hash FROM audit WHERE number = 4)"),
    ),
    "all dropped with the head": lambda db: (db.execute("DELETE FROM audit WHERE number > 1"), db.execute("DELETE FROM audit_head")),
}  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_any_changed_dropped_or_moved_entry_is_found(tmp_path: Path, mutation: str) -> None:
    path = tmp_path / "store.db"

    async def fill() -> None:
        store = SqliteStore(path, Keyring(bytes(32)))
        await store.open()
        for n in range(1, 6):
            at = datetime(2026, 1, n, tzinfo=UTC)
            await store.append_audit(AuditEntry(at=at, action="conversation.read", key_id=f"k{n}"))
        assert (await store.verify_audit()).fault is None
        await store.close()

    async def verify() -> Any:
        store = SqliteStore(path, Keyring(bytes(32)))
        await store.open()
        found = await store.verify_audit()
        await store.close()
        return found

    run(fill())
    before = run(verify())
    assert before.fault is None and before.entries == 5
    db = sqlite3.connect(path)
    MUTATIONS[mutation](db)
    db.commit()
    db.close()
    assert run(verify()).fault is not None
