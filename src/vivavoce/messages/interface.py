"""What the outbox asks of a sender of messages."""

from __future__ import annotations

from typing import Protocol

from vivavoce.domain.conversation import OutgoingMessage, Receipt
from vivavoce.errors import VivavoceError


class MessageUnavailable(VivavoceError):
    """The provider does not answer, or asks to wait: the same message may go out later."""

    code = "MESSAGE_UNAVAILABLE"
    status = 503
    retryable = True


class MessageRefused(VivavoceError):
    """The provider will not take this message; trying again would not help."""

    code = "MESSAGE_REFUSED"
    status = 422


class Sender(Protocol):
    @property
    def name(self) -> str: ...

    async def send(self, message: OutgoingMessage) -> Receipt:
        """Sends it, with `message.id` as its idempotency key. Raises MessageUnavailable or MessageRefused."""
        ...

    async def close(self) -> None: ...
