"""A provider that honours idempotency keys, for tests: `inbox` is what the recipient sees."""

from __future__ import annotations

from vivavoce.domain.conversation import OutgoingMessage, Receipt
from vivavoce.errors import VivavoceError


class ScriptedSender:
    """`failures` are raised first, one for each attempt; "after" failures are raised when the message is already out."""

    name = "scripted"

    def __init__(self, failures: list[VivavoceError] | None = None) -> None:
        self.failures = failures or []
        self.attempts = 0
        self.inbox: dict[str, OutgoingMessage] = {}

    async def send(self, message: OutgoingMessage) -> Receipt:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        self.inbox.setdefault(message.id, message)
        return Receipt(provider=self.name, id=f"scripted-{message.id}")

    async def close(self) -> None: ...
