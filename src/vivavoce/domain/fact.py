"""Small facts that outlive one conversation: live configuration, what is remembered of a caller, events that are awaited."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from vivavoce.domain.conversation import Subject


class Fact(Struct, frozen=True, kw_only=True):
    """`(account, agent, kind, key)` names it; putting it again replaces it. After `expires_at` it is gone."""

    account_id: str
    agent_id: str
    kind: str
    key: str
    subject: Subject | None = None  # the conversation that it came from, last; gone with each it ever came from
    body: dict[str, Any]
    is_private: bool = False  # sealed, also where it came from no conversation
    at: datetime
    expires_at: datetime | None = None
