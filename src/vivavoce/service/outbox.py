"""Messages that turns have queued: sent after the commit, again until they are out, and what became of each."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import SENT_KINDS, Conversation, Delivery, FunctionCall, OutgoingMessage
from vivavoce.domain.work import Work
from vivavoce.errors import VivavoceError
from vivavoce.messages.interface import MessageRefused, Sender
from vivavoce.store.interface import Store

log = logging.getLogger(__name__)

MESSAGE = "message"
MOST_ATTEMPTS = 6
FIRST_WAIT_SECONDS = 5.0
CLOSING = -1  # in place of a turn's index: the end function queued it


def work_for(conversation: Conversation, calls: Iterable[FunctionCall], turn: int, now: datetime) -> list[Work]:
    """One piece of work for each message to be sent; it is written in the transaction that writes the turn."""
    return [
        Work(
            kind=MESSAGE,
            key=message.id,
            subject=conversation.subject,
            due_at=now,
            payload={"turn": turn},
        )
        for call in calls
        for message in call.messages
        if message.kind in SENT_KINDS
    ]


class Outbox:
    """`senders` by kind of message."""

    def __init__(self, store: Store, clock: Clock, senders: Mapping[str, Sender]) -> None:
        self._store = store
        self._clock = clock
        self._senders = senders

    async def deliver(self, work: Work) -> datetime | None:
        """Sends one message. Run twice it sends twice, with the same key: the provider lets the second be."""
        assert work.subject is not None
        conversation = await self._store.get(*msgspec.structs.astuple(work.subject))
        if conversation is None:
            return None
        if any(d.message_id == work.key and d.is_final for d in await self._store.deliveries(conversation)):
            return None
        message = await self._message(conversation, work.payload["turn"], work.key)
        if message is None:
            return None
        sender = self._senders[message.kind]
        now = self._clock.now()
        try:
            receipt = await sender.send(message)
        except Exception as error:  # noqa: BLE001  # an adapter that stumbles over a message fails that message, visibly
            if not isinstance(error, VivavoceError):
                log.error("a sender failed: sender=%s error=%s", sender.name, type(error).__name__)
                error = MessageRefused(f"The message could not be made ({type(error).__name__}).")
            most = MOST_ATTEMPTS if message.retries is None else message.retries + 1
            is_over = not error.retryable or work.attempts >= most
            await self._store.put_delivery(
                conversation,
                Delivery(
                    message_id=message.id,
                    status="failed" if is_over else "waiting",
                    provider=sender.name,
                    attempts=work.attempts,
                    at=now,
                    error=error.message,
                ),
            )
            return None if is_over else now + timedelta(seconds=FIRST_WAIT_SECONDS * 2 ** (work.attempts - 1))
        await self._store.put_delivery(
            conversation,
            Delivery(
                message_id=message.id,
                status="sent" if receipt.is_sent else "logged",
                provider=receipt.provider,
                provider_id=receipt.id,
                attempts=work.attempts,
                at=now,
            ),
        )
        return None

    async def _message(self, conversation: Conversation, turn: int, message_id: str) -> OutgoingMessage | None:
        calls: tuple[FunctionCall, ...] = ()
        if turn == CLOSING:
            closing = await self._store.closing(conversation)
            calls = closing.calls if closing is not None else ()
        else:
            turns = await self._store.turns(conversation, first=turn, limit=1, has_history=False)
            calls = turns[0].calls if turns else ()
        return next((m for call in calls for m in call.messages if m.id == message_id), None)
