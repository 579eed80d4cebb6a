"""The embedded sender: says in the log that there was a message, and sends nothing."""

from __future__ import annotations

import logging

from vivavoce.domain.conversation import OutgoingMessage, Receipt

log = logging.getLogger(__name__)


class LogSender:
    name = "log"

    async def send(self, message: OutgoingMessage) -> Receipt:
        log.info("a message was not sent, since no provider is configured: kind=%s id=%s", message.kind, message.id)
        return Receipt(provider=self.name, is_sent=False)

    async def close(self) -> None: ...
