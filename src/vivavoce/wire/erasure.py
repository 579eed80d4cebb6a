"""Receipts, retention and the audit log, as they are sent."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from vivavoce.domain.audit import AuditRecord
from vivavoce.domain.erasure import Receipt
from vivavoce.wire.times import Moment, iso


class EraseCallerBody(Struct, frozen=True, kw_only=True, rename="camel"):
    contact: str


# Said in the OpenAPI document; refused, in a sentence of its own, by whoever keeps it.
_Days: TypeAlias = Annotated[int, Meta(extra_json_schema={"minimum": 1, "maximum": 36_500})]


class RetentionBody(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Days; null is for ever. `details` are how turns came to be: the transcript stays."""

    conversations: _Days | None = None
    details: _Days | None = None
    memory: _Days | None = None


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


class AuditItem(Struct, frozen=True, kw_only=True, rename="camel"):
    """`subject` is a keyed hash of what it is about, or "" where it is about nothing in particular."""

    number: int
    at: Moment
    action: str
    key_id: str
    account_id: str
    agent_id: str
    subject: str
    detail: dict[str, Any]
    hash: str


class AuditResponse(Struct, frozen=True, kw_only=True):
    entries: list[AuditItem]


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
    """As AuditItem says."""
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
