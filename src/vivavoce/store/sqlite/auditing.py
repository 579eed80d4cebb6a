"""The audit chain on SQLite: appended to in the writer's thread, read through to be verified."""

from __future__ import annotations

import sqlite3
from datetime import datetime

import msgspec

from vivavoce.domain.audit import AuditEntry, AuditRecord, ChainFault, Verdict
from vivavoce.store.sealing import Keyring
from vivavoce.store.statements import statements

SQL = statements("sqlite")
FIRST = bytes(32)  # the hash before the first entry
BLOCK = 1000  # entries read at once
LAST = 2**63 - 1
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AuditEntry).decode


def begin(c: sqlite3.Connection, keyring: Keyring, at: datetime) -> None:
    """The first entry, written when the log is made: a log without it was emptied."""
    if c.execute(SQL["audit_head"]).fetchone() is None and not entries(c, 0, 1):
        append(c, keyring, AuditEntry(at=at, action="log.begin", key_id="program"))


def append(c: sqlite3.Connection, keyring: Keyring, entry: AuditEntry) -> None:
    row = c.execute(SQL["audit_head"]).fetchone()
    number, before = (row[0], row[1]) if row is not None else (0, FIRST)
    body = _encode(entry)
    number += 1
    hash_ = keyring.link(before, _numbered(number, body))
    c.execute(SQL["add_audit"], {"number": number, "body": body, "hash": hash_})
    c.execute(
        SQL["put_audit_head"], {"number": number, "hash": hash_, "seal": keyring.link(hash_, b"head:%d" % number)}
    )


def entries(c: sqlite3.Connection, after: int, limit: int) -> list[AuditRecord]:
    rows = c.execute(SQL["get_audit"], {"after": after, "limit": limit})
    return [AuditRecord(number=number, entry=_decode(body), hash=hash_.hex()) for number, body, hash_ in rows]


def newest(c: sqlite3.Connection, before: int | None, limit: int) -> list[AuditRecord]:
    rows = c.execute(SQL["newest_audit"], {"before": LAST if before is None else before, "limit": limit})
    return [AuditRecord(number=number, entry=_decode(body), hash=hash_.hex()) for number, body, hash_ in rows]


def verify(c: sqlite3.Connection, keyring: Keyring) -> Verdict:
    expected, before = 0, FIRST
    while True:
        rows = c.execute(SQL["get_audit"], {"after": expected, "limit": BLOCK}).fetchall()
        if not rows:
            break
        for number, body, hash_ in rows:
            expected += 1
            if expected == 1 and b'"log.begin"' not in bytes(body):
                return _broken(1, before, "the log does not begin with its first entry; it was emptied")
            if number != expected:
                return _broken(expected, before, f"entry {expected} is missing")
            if not isinstance(body, bytes) or keyring.link(before, _numbered(number, body)) != hash_:
                return _broken(expected, before, f"entry {expected} was changed, or is not where it was written")
            before = hash_
    head = c.execute(SQL["audit_head"]).fetchone()
    if head is None and expected == 0:
        return _broken(1, before, "the log is empty, and it is never so")
    if head is None:
        return (
            Verdict(entries=0, head=FIRST.hex())
            if expected == 0
            else _broken(1, before, "the head of the chain is missing")
        )
    number, hash_, seal = head
    if keyring.link(hash_, b"head:%d" % number) != seal:
        return _broken(expected, before, "the head of the chain was changed")
    if (number, hash_) != (expected, before):
        return _broken(expected + 1, before, f"the last entries are missing: there were {number}")
    return Verdict(entries=expected, head=before.hex())


def _numbered(number: int, body: bytes) -> bytes:
    return b"%d:" % number + body


def _broken(number: int, before: bytes, message: str) -> Verdict:
    return Verdict(entries=number - 1, head=before.hex(), fault=ChainFault(number=number, message=message))
