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


class Effect(Struct, frozen=True, kw_only=True):
    """Something that author code does once. `is_done` False: it was begun, and how it went is not known."""

    is_done: bool
    result: Any = None


class Ledger(Protocol):
    """What author code has begun and done outside, by keys that a repeated turn has again."""

    async def begin(self, conversation: Conversation, key: str) -> Effect | None:
        """None: nobody had begun it, and now it is begun, on the disk."""
        ...

    async def settle(self, conversation: Conversation, key: str, result: Any) -> None: ...

    async def forget(self, conversation: Conversation, key: str) -> None:
        """It came to nothing, and may be begun again."""
        ...


class EventBook(Protocol):
    async def announce(self, conversation: Conversation, *, is_for_model: bool) -> str:
        """An id under which somebody outside may post data for that conversation, for an hour."""
        ...
