"""Work that is not part of a turn: one row each, claimed by lease, tried again, idempotent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from vivavoce.domain.conversation import Subject


class Work(Struct, frozen=True, kw_only=True):
    """`(kind, key, subject)` is unique while it waits: adding it again moves its due time."""

    kind: str
    key: str
    subject: Subject | None = None  # gone with it
    due_at: datetime
    payload: dict[str, Any] = {}
    attempts: int = 0


class Waiting(Struct, frozen=True, kw_only=True):
    """Background work of one kind: how much there is, how much of it is being done, and how it fares."""

    kind: str
    count: int
    leased: int
    most_attempts: int
    next_due: datetime
