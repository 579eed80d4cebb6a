"""What is kept of who saw personal data and who changed what. It holds keyed hashes of ids, and no personal data."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

Action: TypeAlias = Literal[
    "log.begin", "handoff_state.read", "concurrency.read", "conversation.read", "conversations.read", "conversation.note", "conversation.tags", "conversation.annotate",
    "conversation.unannotate", "conversation.redact", "conversation.unredact", "conversation.erase", "caller.erase", "conversations.expire", "turns.drop", "conversations.export",
    "conversations.import", "memory.read", "memory.erase", "key.create", "key.revoke", "retention.change",
    "real_time_config.change", "redaction.change", "redaction.run", "audio_cache.change", "audio_cache.remove",
    "deployment.publish", "deployment.promote", "deployment.roll_back",
    "experiment.create", "experiment.change", "experiment.end", "branch.create", "branch.change", "branch.merge", "branch.remove", "agent.create", "agent.remove",
]  # fmt: skip


class AuditEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`subject` is a keyed hash of whom or what it was about; `detail` holds counts and names of fields, no values."""

    at: datetime
    action: Action
    key_id: str
    account_id: str = ""
    agent_id: str = ""
    subject: str = ""
    detail: dict[str, int | str | list[str]] = {}


class AuditRecord(Struct, frozen=True, kw_only=True):
    """An entry at its place in the chain: `hash` covers the entry and the hash before it."""

    number: int
    entry: AuditEntry
    hash: str


class ChainFault(Struct, frozen=True, kw_only=True):
    """The first place at which the chain does not hold, and how."""

    number: int
    message: str


class Verdict(Struct, frozen=True, kw_only=True):
    """`head` is the last hash: kept elsewhere, it shows later that nothing was cut off."""

    entries: int
    head: str
    fault: ChainFault | None = None
