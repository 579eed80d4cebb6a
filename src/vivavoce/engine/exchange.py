"""A model exchange while it runs, and the record that it becomes."""

from __future__ import annotations

from datetime import datetime

from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import ModelExchange, ModelReply, ModelRequest, Place
from vivavoce.engine.guard import Guard


class Exchange:
    """A model exchange while it runs."""

    def __init__(self, identifier: str, request: ModelRequest, place: Place, clock: Clock) -> None:
        self.id = identifier
        self.request = request
        self.place = place
        self.clock = clock
        self.started_at = clock.now()
        self.first_text_at: datetime | None = None
        self.reply: ModelReply | None = None
        self.error: str | None = None
        self.finished_at = self.started_at
        self.delivered = ""

    def first_text(self) -> None:
        if self.first_text_at is None:
            self.first_text_at = self.clock.now()

    def failed(self, message: str) -> None:
        self.error = message
        self.finished_at = self.clock.now()

    def settled(self, guard: Guard) -> ModelReply:
        """The reply; one that was cut by a stop keyword before it was complete is what had been heard of it."""
        if self.reply is None:
            self.reply = ModelReply(text=guard.heard, finish_reason="stop_keyword")
        elif guard.stopped is None:
            guard.finish()
        self.finished_at = self.clock.now()
        return self.reply

    def record(self, place_after: Place) -> ModelExchange:
        return ModelExchange(
            id=self.id,
            purpose="turn",
            request=self.request,
            reply=self.reply,
            error=self.error,
            delivered=self.delivered,
            started_at=self.started_at,
            finished_at=self.finished_at,
            first_text_at=self.first_text_at,
            place=self.place,
            place_after=place_after,
        )
