"""The audit log: who saw personal data and who changed what; any change to it is found."""

from __future__ import annotations

import hashlib
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
            "log.begin", "conversation.note", "conversation.tags", "conversation.annotate", "key.create", "conversation.read",
            "conversations.read", "conversations.read", "conversation.erase", "conversation.erase",
        ]  # fmt: skip
        assert CANARY not in json.dumps(entries) and {e["keyId"] for e in entries} == {"program", "operator"}
        subjects = {e["subject"] for e in entries if e["action"].startswith("conversation.")}
        assert subjects == {receipt["subject"]} and receipt["id"] == entries[-1]["detail"]["receipt"]
        verdict = (await http.call("GET", "/v1/audit/verify"))[1]
        assert verdict["isWhole"] is True and verdict["entries"] == 10 and verdict["head"] == entries[-1]["hash"]
        rest = (await http.call("GET", "/v1/audit?after=9"))[1]["entries"]
        assert [e["number"] for e in rest] == [10]

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
    db.execute("UPDATE audit SET body = CAST(replace(body, 'k2', 'k9') AS BLOB) WHERE number = 3")


def _swap(db: sqlite3.Connection) -> None:
    db.execute("UPDATE audit SET number = -1 WHERE number = 2")
    db.execute("UPDATE audit SET number = 2 WHERE number = 3")
    db.execute("UPDATE audit SET number = 3 WHERE number = -1")


MUTATIONS: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "changed": _change,
    "changed time": lambda db: db.execute("UPDATE audit SET body = CAST(replace(body, '2026', '2025') AS BLOB) WHERE number = 1"),
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
    "emptied": lambda db: (db.execute("DELETE FROM audit"), db.execute("DELETE FROM audit_head")),
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
        for n in range(1, 5):
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


def test_a_log_that_was_emptied_and_has_grown_again_is_found(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def check() -> None:
        store = SqliteStore(path, Keyring(bytes(32)))
        await store.open()
        await store.close()
        db = sqlite3.connect(path)
        MUTATIONS["emptied"](db)
        db.commit()
        db.close()
        store = SqliteStore(path, Keyring(bytes(32)))
        await store.open()
        await store.append_audit(
            AuditEntry(at=datetime(2026, 1, 1, tzinfo=UTC), action="conversation.read", key_id="k")
        )
        verdict = await store.verify_audit()
        assert verdict.fault is not None and "emptied" in verdict.fault.message
        await store.close()

    run(check())


@pytest.mark.sqlite_file
def test_a_key_that_was_written_into_the_database_opens_nothing(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        made = await key(http, "read")
        assert (await http.call("GET", f"{LIST}/one", key=made))[0] == 200
        db = sqlite3.connect(tmp_path / "data" / "vivavoce.db")
        ((id_, body),) = db.execute("SELECT id, body FROM keys").fetchall()
        digest = hashlib.sha256(b"vv_forged").hexdigest()
        forged = {**json.loads(body), "id": "operator", "digest": digest, "permissions": ["admin", "pii", "read"]}
        db.execute(
            "INSERT INTO keys (id, body, proof) SELECT 'operator', ?, proof FROM keys", (json.dumps(forged).encode(),)
        )
        db.execute("UPDATE keys SET body = ? WHERE id = ?", (body.replace(b'"read"', b'"read","admin"'), id_))
        db.commit()
        db.close()
        assert http.started is not None
        await http.started.services.keys.load()
        for text in ("vv_forged", made):
            assert (await http.call("GET", f"{LIST}/one", key=text))[0] == 401

    http(tmp_path, check)
