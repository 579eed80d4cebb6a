"""Brings a database to this version: numbered scripts, and what only the program can do, since only it has the keys."""

from __future__ import annotations

import logging
import os
import sqlite3
from datetime import UTC, datetime
from typing import Any

import msgspec

from vivavoce.domain.conversation import Conversation, Snapshot
from vivavoce.store import codec, facets
from vivavoce.store.interface import StoreError
from vivavoce.store.sealing import Keyring, Seal
from vivavoce.store.sqlite.database import SqliteConnection, finished
from vivavoce.store.statements import migrations, statements
from vivavoce.store.tables import auditing
from vivavoce.store.tables.matching import microseconds

log = logging.getLogger(__name__)
SQL = statements("sqlite")
SEALED = 3  # the migration that put the record under seal
PROVEN = 7  # the one from which on keys have a proof, and the audit log a first entry
_ABOUT_CONVERSATIONS = ("end_function", "idle_end", "message")  # kinds of work of the first versions

_decode_head = msgspec.json.Decoder(Conversation).decode


def migrate(c: sqlite3.Connection, keyring: Keyring, path: str) -> None:
    done = c.execute("PRAGMA user_version").fetchone()[0]
    known = migrations("sqlite")
    if done > known[-1].number:
        raise StoreError(f"The database {path} was made by a newer version of vivavoce; use that version.")
    has_old_rows = 0 < done < SEALED
    for migration in known:
        number = migration.number
        if number <= done:
            continue
        c.execute("PRAGMA foreign_keys=OFF")
        c.executescript(f"BEGIN IMMEDIATE;\n{migration.script}")
        if number == SEALED:
            _seal_old_rows(c, keyring)
        if number == PROVEN:
            _prove_keys(c, keyring)
            finished(auditing.begin(SqliteConnection(c, SQL), keyring, datetime.now(UTC)))
        c.execute(f"PRAGMA user_version={number}")
        c.execute("COMMIT")
        c.execute("PRAGMA foreign_keys=ON")
    if has_old_rows:
        c.execute("VACUUM")  # nothing of the plain rows stays behind
        c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    _check_key(c, keyring, path)


def _prove_keys(c: sqlite3.Connection, keyring: Keyring) -> None:
    for id_, body in c.execute("SELECT id, body FROM keys").fetchall():
        c.execute("UPDATE keys SET proof = ? WHERE id = ?", (keyring.proof(b"key", body), id_))


def _check_key(c: sqlite3.Connection, keyring: Keyring, path: str) -> None:
    """A database that was sealed under another key would only fail later, row by row."""
    mark = keyring.name("mark")
    c.execute("INSERT INTO seal_mark (mark) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM seal_mark)", (mark,))
    if c.execute("SELECT mark FROM seal_mark").fetchone()[0] != mark:
        raise StoreError(
            f"The database {path} was sealed with another key. Put the file seal-key that belongs to it back into the "
            "data folder, or set VIVAVOCE_SEAL_KEY to it."
        )


def _seal_old_rows(c: sqlite3.Connection, keyring: Keyring) -> None:
    subjects: dict[tuple[str, str, str], int] = {}
    for old, head in c.execute("SELECT number, head FROM old_conversations ORDER BY started_at, number").fetchall():
        conversation = _decode_head(head)
        wrapped, seal = keyring.make()
        number = _add(c, keyring, conversation, wrapped, seal)
        subjects[conversation.account_id, conversation.agent_id, conversation.id] = number
        _carry_turns(c, old, number, seal)
        _carry_rest(c, keyring, conversation, old, number, seal)
    _carry_facts(c, keyring)
    _carry_work(c, subjects)
    _add_reviews(c)
    for table in ("turns", "snapshots", "closings", "deliveries", "facts", "work", "conversations"):
        c.execute(f"DROP TABLE old_{table}")
    if subjects:
        log.info("the record of %d conversations was put under seal", len(subjects))


def _add_reviews(c: sqlite3.Connection) -> None:
    """What ended before is judged and made searchable now."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    for (number,) in c.execute("SELECT number FROM conversations WHERE is_ended = 1").fetchall():
        values = {"kind": "review", "key": "", "conversation": number, "due_at": now, "attempts": 0, "payload": b"{}"}
        c.execute(SQL["add_work"], values)


def _add(c: sqlite3.Connection, keyring: Keyring, conversation: Conversation, wrapped: bytes, seal: Seal) -> int:
    names = {"account_id": conversation.account_id, "agent_id": conversation.agent_id}
    c.execute(SQL["add_scope"], names)
    scope = c.execute(SQL["find_scope"], names).fetchone()[0]
    number = microseconds(conversation.started_at)
    while c.execute(SQL["is_taken"], {"number": number}).fetchone() is not None:
        number += 1
    hashes = sorted(keyring.facet(scope, name, value) for name, value in facets.of_head(conversation))
    values = {
        "number": number,
        "scope": scope,
        "name": keyring.name("conversation", conversation.account_id, conversation.agent_id, conversation.id),
        "seal": c.execute(SQL["add_seal"], {"wrapped": wrapped}).fetchone()[0],
        "turns": conversation.turns,
        "is_ended": conversation.is_ended,
        "duration": conversation.seconds if conversation.is_ended else None,
        "dice": int.from_bytes(os.urandom(4), "big"),
        "head": seal.close(msgspec.json.encode(conversation), b"head"),
    }
    c.execute(SQL["add_conversation"], values)
    for facet in hashes:
        c.execute(SQL["add_facet"], {"facet": facet, "number": number})
    c.execute(SQL["put_facets"], {"number": number, "facets": msgspec.msgpack.encode({"head": hashes})})
    return number


def _carry_turns(c: sqlite3.Connection, old: int, number: int, seal: Seal) -> None:
    rows = c.execute("SELECT position, body, state FROM old_turns WHERE conversation = ?", (old,)).fetchall()
    for position, body, state in rows:
        said, rest = codec.encode_row(codec.decode_turn(None, body))
        values = {
            "conversation": number,
            "position": position,
            "said": seal.close(said, b"said:%d" % position),
            "body": seal.close(rest, b"body:%d" % position),
            "state": seal.close(state, b"state:%d" % position) if state is not None else None,
        }
        c.execute(SQL["add_turn"], values)


def _carry_rest(
    c: sqlite3.Connection, keyring: Keyring, conversation: Conversation, old: int, number: int, seal: Seal
) -> None:
    row = c.execute("SELECT body, state, view FROM old_snapshots WHERE conversation = ?", (old,)).fetchone()
    snapshot = codec.snapshot_of(*row) if row is not None else Snapshot()
    packed = seal.close(codec.encode_snapshot(snapshot), b"snapshot")
    c.execute(SQL["put_snapshot"], {"conversation": number, "body": packed})
    row = c.execute("SELECT body FROM old_closings WHERE conversation = ?", (old,)).fetchone()
    if row is not None:
        c.execute(SQL["put_closing"], {"conversation": number, "body": seal.close(row[0], b"closing")})
    for message, body in c.execute(
        "SELECT message, body FROM old_deliveries WHERE conversation = ?", (old,)
    ).fetchall():
        sealed = seal.close(body, b"delivery:" + message.encode())
        c.execute(SQL["put_delivery"], {"conversation": number, "message": message, "body": sealed})


def _carry_facts(c: sqlite3.Connection, keyring: Keyring) -> None:
    """Which conversations an old fact came from was not kept: it is sealed, and goes when it is asked to or expires."""
    rows = c.execute("SELECT account_id, agent_id, kind, key, body, at, expires_at FROM old_facts").fetchall()
    for account_id, agent_id, kind, key, body, at, expires_at in rows:
        number = None
        if kind != "real_time_config":
            wrapped, seal = keyring.make()
            number = c.execute(SQL["add_seal"], {"wrapped": wrapped}).fetchone()[0]
            body = seal.close(body, b"fact")
        name = keyring.name("fact", account_id, agent_id, kind, key)
        values = (name, kind, number, body, at, expires_at)  # as the table was then
        c.execute("INSERT INTO facts (name, kind, seal, body, at, expires_at) VALUES (?, ?, ?, ?, ?, ?)", values)


def _carry_work(c: sqlite3.Connection, subjects: dict[tuple[str, str, str], int]) -> None:
    for kind, key, due, attempts, payload in c.execute(
        "SELECT kind, key, due_at, attempts, payload FROM old_work"
    ).fetchall():
        body: dict[str, Any] = msgspec.json.decode(payload)
        number = 0
        if kind in _ABOUT_CONVERSATIONS:
            subject = (body.pop("account", ""), body.pop("agent", ""), body.pop("id", ""))
            number = subjects.get(subject, -1)
            key = key if kind == "message" else ""
        if number >= 0:
            values = {"kind": kind, "key": key, "conversation": number, "due_at": due, "attempts": attempts}
            c.execute(SQL["add_work"], {**values, "payload": msgspec.json.encode(body)})
