"""The audit chain in tables: appended to by one writer at a time, read through to be verified."""

from __future__ import annotations

from datetime import datetime

import msgspec

from vivavoce.domain.audit import AuditEntry, AuditRecord, ChainFault, Verdict
from vivavoce.store.sealing import Keyring
from vivavoce.store.tables.connection import Connection, Row

FIRST = bytes(32)  # the hash before the first entry
BLOCK = 1000  # entries read at once
LAST = 2**63 - 1
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AuditEntry).decode


async def begin(c: Connection, keyring: Keyring, at: datetime) -> None:
    """The first entry, written when the log is made: a log without it was emptied."""
    if await c.one("audit_head") is None and not await entries(c, 0, 1):
        await append(c, keyring, AuditEntry(at=at, action="log.begin", key_id="program"))


async def append(c: Connection, keyring: Keyring, entry: AuditEntry) -> None:
    row = await c.one("hold_audit_head")
    number, before = (row[0], row[1]) if row is not None else (0, FIRST)
    body = _encode(entry)
    number += 1
    hash_ = keyring.link(before, _numbered(number, body))
    await c.run("add_audit", {"number": number, "body": body, "hash": hash_})
    values = {"number": number, "hash": hash_, "seal": keyring.link(hash_, b"head:%d" % number)}
    await c.run("put_audit_head", values)


async def entries(c: Connection, after: int, limit: int) -> list[AuditRecord]:
    return [_record(row) for row in await c.all("get_audit", {"after": after, "limit": limit})]


async def newest(c: Connection, before: int | None, limit: int) -> list[AuditRecord]:
    values = {"before": LAST if before is None else before, "limit": limit}
    return [_record(row) for row in await c.all("newest_audit", values)]


async def verify(c: Connection, keyring: Keyring) -> Verdict:
    expected, before = 0, FIRST
    while rows := await c.all("get_audit", {"after": expected, "limit": BLOCK}):
        for number, body, hash_ in rows:
            expected += 1
            if expected == 1 and b'"log.begin"' not in bytes(body):
                return _broken(1, before, "the log does not begin with its first entry; it was emptied")
            if number != expected:
                return _broken(expected, before, f"entry {expected} is missing")
            if not isinstance(body, bytes) or keyring.link(before, _numbered(number, body)) != hash_:
                return _broken(expected, before, f"entry {expected} was changed, or is not where it was written")
            before = hash_
        head = await c.one("audit_head")
        if len(rows) < BLOCK and (head is None or head[0] <= expected):
            break  # else there were more appended meanwhile
    else:
        head = await c.one("audit_head")
    if head is None and expected == 0:
        return _broken(1, before, "the log is empty, and it is never so")
    if head is None:
        return _broken(1, before, "the head of the chain is missing")
    number, hash_, seal = head
    if keyring.link(hash_, b"head:%d" % number) != seal:
        return _broken(expected, before, "the head of the chain was changed")
    if (number, hash_) != (expected, before):
        return _broken(expected + 1, before, f"the last entries are missing: there were {number}")
    return Verdict(entries=expected, head=before.hex())


def _record(row: Row) -> AuditRecord:
    number, body, hash_ = row
    return AuditRecord(number=number, entry=_decode(body), hash=hash_.hex())


def _numbered(number: int, body: bytes) -> bytes:
    return b"%d:" % number + body


def _broken(number: int, before: bytes, message: str) -> Verdict:
    return Verdict(entries=number - 1, head=before.hex(), fault=ChainFault(number=number, message=message))
