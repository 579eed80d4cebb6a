"""Words that a reviewer hides by hand: what the rules have missed, hidden from then on as if they had found it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from vivavoce.domain.audit import Action
from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import BY_HAND, Conversation, PersonalSpan
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import TranscriptTurn
from vivavoce.errors import ConversationNotFound, Invalid
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.deployments import Deployments
from vivavoce.service.recordings import listen_again
from vivavoce.service.redaction import sides
from vivavoce.service.reviews import Reviews
from vivavoce.store.interface import Store

MAX_WORDS = 500  # characters


class HandRedaction:
    def __init__(self, store: Store, clock: Clock, deployments: Deployments, audit: Audit, reviews: Reviews) -> None:
        self._store = store
        self._clock = clock
        self._deployments = deployments
        self._audit = audit
        self._reviews = reviews

    async def hide(self, principal: Principal, agent_id: str, id: str, turn: int, words: str) -> int:
        """Hides these words of one turn, and wherever else the conversation has them; returns in how many places of the turn they were.

        For who may see personal data: nobody else can tell what is to be hidden. What a recording says of them is looked for again.
        """
        require(principal, "write", agent_id)
        require(principal, "pii", agent_id)
        words = words.strip()
        if not 2 <= len(words) <= MAX_WORDS or not re.search(r"\w", words):
            raise Invalid(f"Give 2 to {MAX_WORDS} characters of what was said, a letter or digit among them.")
        conversation, said = await self._turn(principal, agent_id, id, turn)
        found = [
            PersonalSpan(side, match.start(), match.end(), BY_HAND)
            for side, text in sides(said)
            for match in re.finditer(re.escape(words), text, re.IGNORECASE)
        ]
        if not found:
            raise Invalid("These words are not in the turn; give them as they stand there.")
        await self._reviews.look_again(conversation.subject)  # so that there is a decision to add to
        await self._change(conversation, turn, lambda own: [*own, *found])
        await self._note(principal, "conversation.redact", conversation)
        return len(found)

    async def show_again(self, principal: Principal, agent_id: str, id: str, turn: int) -> None:
        """Takes back what was hidden by hand in a turn; what the rules have found stays hidden."""
        require(principal, "write", agent_id)
        require(principal, "pii", agent_id)
        conversation, _ = await self._turn(principal, agent_id, id, turn)
        await self._change(conversation, turn, lambda own: [])
        await self._note(principal, "conversation.unredact", conversation)

    async def _turn(
        self, principal: Principal, agent_id: str, id: str, turn: int
    ) -> tuple[Conversation, TranscriptTurn]:
        account_id = await self._deployments.account_of(principal, agent_id)
        conversation = await self._store.get(account_id, agent_id, id)
        if conversation is None:
            raise ConversationNotFound
        (transcript,) = await self._store.transcripts([conversation])
        if not 0 <= turn < len(transcript.turns):
            raise Invalid(f"The conversation has no turn {turn}.")
        return conversation, transcript.turns[turn]

    async def _change(
        self,
        conversation: Conversation,
        turn: int,
        change: Callable[[Sequence[PersonalSpan]], Sequence[PersonalSpan]],
    ) -> None:
        await self._store.hide(conversation, turn, change)
        await self._reviews.look_again(conversation.subject)
        if conversation.is_recorded and conversation.is_ended:
            await self._store.add_work([listen_again(conversation, self._clock.now())])

    async def _note(self, principal: Principal, action: Action, conversation: Conversation) -> None:
        await self._audit.note(principal, action, conversation.account_id, conversation.agent_id, conversation.id)
