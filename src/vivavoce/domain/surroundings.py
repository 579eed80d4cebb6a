"""What a turn finds around it that is neither said nor kept in the conversation: live configuration, memory, events."""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from vivavoce.domain.conversation import Conversation, ReceivedEvent


class Remembered(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of a caller: values of their earlier conversations' state, and the first of those conversations."""

    values: dict[str, Any] = {}
    first: dict[str, str] = {}  # conversation_id, datetime, qa, handoff_reason, handoff_to


class Surroundings(Struct, frozen=True, kw_only=True):
    """`configuration` and `memory` are the same objects for as long as they have not changed."""

    configuration: dict[str, Any] = {}
    memory: Remembered | None = None
    events: tuple[ReceivedEvent, ...] = ()


class EventBook(Protocol):
    async def announce(self, conversation: Conversation, *, is_for_model: bool) -> str:
        """An id under which somebody outside may post data for that conversation, for an hour."""
        ...
