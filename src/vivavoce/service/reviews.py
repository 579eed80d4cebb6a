"""After a conversation: what it is searched by, its summary and its score. Background work, never in the way of a turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from vivavoce.domain.clock import Clock, Embedder
from vivavoce.domain.conversation import Conversation, Subject, Turn
from vivavoce.domain.record import Index, Listed, Review, Score, Summary
from vivavoce.domain.work import Work
from vivavoce.engine import reviewing
from vivavoce.models.interface import Model, ModelError
from vivavoce.redaction.redact import Redactor
from vivavoce.service import redaction
from vivavoce.service.finders import Finders
from vivavoce.service.statistics import Statistics
from vivavoce.store.facets import of_record
from vivavoce.store.interface import Store

log = logging.getLogger(__name__)

REVIEW = "review"  # kind of work
FIRST_WAIT_SECONDS = 30.0
MOST_ATTEMPTS = 4  # of asking the model; after them the rules judge
MAX_EMBEDDED = 1_500  # characters that stand for a conversation's meaning


def work_for(conversation: Conversation, now: datetime) -> Work:
    return Work(kind=REVIEW, key="", subject=conversation.subject, due_at=now)


class Reviews:
    """`model` None judges by rules; `embedder` None leaves out search by meaning."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        finders: Finders,
        statistics: Statistics,
        *,
        model: Model | None,
        embedder: Embedder | None,
    ) -> None:
        self._statistics = statistics
        self._store = store
        self._clock = clock
        self._finders = finders
        self._model = model
        self._embedder = embedder

    async def review(self, work: Work) -> datetime | None:
        assert work.subject is not None
        looked = await self._looked_at(work.subject)
        if looked is None:
            return None
        listed, turns, known = looked
        conversation = listed.conversation
        if listed.review.summary is not None:
            listed = replace(listed, review=await self._hide_again(listed, known))
            await self._count(listed, turns)
            return None  # judged before; only the index was asked for again
        try:
            judged = await reviewing.review(conversation, turns, self._model)
        except ModelError as error:
            if error.retryable and work.attempts < MOST_ATTEMPTS:
                return self._clock.now() + timedelta(seconds=FIRST_WAIT_SECONDS * 2**work.attempts)
            log.warning("a conversation is judged by rules, since the model failed: %s", error.code)
            judged = await reviewing.review(conversation, turns, None)
        listed = replace(listed, review=await self._hide_again(listed, known, judged))
        await self._count(listed, turns)
        return None

    async def _count(self, listed: Listed, turns: Sequence[Turn]) -> None:
        if listed.conversation.is_ended:
            await self._statistics.count(listed, turns, await self._store.closing(listed.conversation))

    async def look_again(self, subject: Subject) -> None:
        """Decides anew what is personal in a conversation, by the rules as they are now, and hides by it what was hidden before."""
        looked = await self._looked_at(subject)
        if looked is not None:
            listed, _, known = looked
            await self._hide_again(listed, known)

    async def _looked_at(self, subject: Subject) -> tuple[Listed, Sequence[Turn], Redactor] | None:
        """Every turn decided thoroughly; what has ended is found by it."""
        listed = await self._store.listed(*msgspec.structs.astuple(subject))
        if listed is None:
            return None
        conversation = listed.conversation
        finder = await self._finders(subject.account_id, subject.agent_id)
        turns: Sequence[Turn] = await self._store.turns(conversation)
        old = [t for t in turns if t.personal is None or t.personal_by != finder.name]
        new = await asyncio.to_thread(lambda: {t.index: redaction.decide(t, finder) for t in old})
        if new:
            await self._store.decide(conversation, new, finder.name)
            turns = await self._store.turns(conversation)  # with what was hidden by hand meanwhile
        known = redaction.redactor(turns, [redaction.customer_of(conversation)], finder)
        if conversation.is_ended:
            await self._index(conversation, turns, known)
        return listed, turns, known

    async def _hide_again(self, listed: Listed, known: Redactor, judged: reviewing.Judged | None = None) -> Review:
        """What people and models have written, by all that is known now."""
        conversation = listed.conversation
        # Looked at here, where nobody waits; what comes in meanwhile is short work for the writer.
        await asyncio.to_thread(_look_at, known, listed.review)
        reason = known.written(conversation.handoff_reason) if conversation.handoff_reason else None

        def change(review: Review) -> Review:
            note = review.note
            if note is not None and note.is_informed:
                note = replace(note, redacted=known.written(note.text))
            marks = tuple(
                replace(a, redacted=known.written(a.text)) if a.is_informed else a for a in review.annotations
            )
            summary = judged.summary if judged is not None else review.summary
            score = judged.score if judged is not None else review.score
            return replace(
                review,
                note=note,
                annotations=marks,
                summary=_redacted(summary, known) if summary is not None else None,
                score=_redacted_score(score, known) if score is not None else None,
                redacted_handoff_reason=reason,
            )

        return await self._store.revise(conversation, change)

    async def _index(self, conversation: Conversation, turns: Sequence[Turn], known: Redactor) -> None:
        closing = await self._store.closing(conversation)
        user = [(turn.input.text, redaction.shown(turn, "input", known)) for turn in turns if turn.input.text]
        agent = [(turn.reply, redaction.shown(turn, "reply", known)) for turn in turns if turn.reply]
        index = Index(
            facets=of_record(turns, closing),
            user="\n".join(text for text, _ in user),
            agent="\n".join(text for text, _ in agent),
            redacted_user="\n".join(text for _, text in user),
            redacted_agent="\n".join(text for _, text in agent),
        )
        if self._embedder is not None:
            meant = [_gist(index.user, index.agent), _gist(index.redacted_user, index.redacted_agent)]
            whole, redacted = await asyncio.to_thread(self._embedder.embed, meant)
            index = replace(index, model=self._embedder.name, vector=whole, redacted_vector=redacted)
        await self._store.put_index(conversation, index)


def _look_at(known: Redactor, review: Review) -> None:
    for text in (*(a.text for a in review.annotations), review.note.text if review.note is not None else ""):
        known.written(text)


def _gist(user: str, agent: str) -> str:
    """What the user said tells most of what a conversation is about."""
    return f"{user[:MAX_EMBEDDED]}\n{agent[: MAX_EMBEDDED // 3]}".strip() or "silence"


def _redacted(summary: Summary, known: Redactor) -> Summary:
    return replace(
        summary, redacted_heading=known.written(summary.heading), redacted_content=known.written(summary.content)
    )


def _redacted_score(score: Score, known: Redactor) -> Score:
    return replace(score, redacted_reason=known.written(score.reason))
