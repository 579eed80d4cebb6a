"""Receipts, retention and the audit log, as they are sent."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from vivavoce.domain.audit import AuditRecord
from vivavoce.domain.erasure import Receipt
from vivavoce.wire.times import iso


class EraseCallerBody(Struct, frozen=True, kw_only=True, rename="camel"):
    contact: str


class RetentionBody(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Days; null is for ever. `details` are how turns came to be: the transcript stays."""

    conversations: int | None = None
    details: int | None = None
    memory: int | None = None


class ReceiptResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """`signature` is Ed25519, in hexadecimal, over the receipt as it is stored: JSON of all other fields, sorted."""

    id: str
    at: str
    kind: str
    account_id: str
    agent_id: str
    subject: str
    conversations: int
    removed: dict[str, int]
    is_log_cut: bool
    signature: str
    public_key: str


class AuditResponse(Struct, frozen=True, kw_only=True):
    entries: list[dict[str, Any]]


class VerdictResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    is_whole: bool
    entries: int
    head: str
    fault: str | None


def receipt_response(receipt: Receipt, public_key: bytes) -> ReceiptResponse:
    return ReceiptResponse(
        id=receipt.id,
        at=iso(receipt.at) or "",
        kind=receipt.kind,
        account_id=receipt.account_id,
        agent_id=receipt.agent_id,
        subject=receipt.subject,
        conversations=receipt.conversations,
        removed=receipt.removed,
        is_log_cut=receipt.is_log_cut,
        signature=receipt.signature,
        public_key=public_key.hex(),
    )


def audit_item(record: AuditRecord) -> dict[str, Any]:
    entry = record.entry
    return {
        "number": record.number,
        "at": iso(entry.at),
        "action": entry.action,
        "keyId": entry.key_id,
        "accountId": entry.account_id,
        "agentId": entry.agent_id,
        "subject": entry.subject,
        "detail": entry.detail,
        "hash": record.hash,
    }
