"""The record, read back and reviewed: lists, one conversation whole, notes, tags, annotations."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from vivavoce.domain.audit import Action
from vivavoce.domain.clock import Clock, Embedder, Random
from vivavoce.domain.conversation import Closing, Conversation, Delivery, Turn
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import (
    Annotation,
    AnnotationType,
    BadReason,
    Count,
    Criteria,
    Listed,
    Meaning,
    Note,
    Order,
    Page,
    Position,
    Review,
    Role,
    Transcript,
)
from vivavoce.errors import AgentNotFound, ConversationNotFound, Forbidden, Invalid, NotFound
from vivavoce.redaction.finder import Finder
from vivavoce.redaction.redact import Redactor
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.deployments import Deployments
from vivavoce.service.finders import Finders
from vivavoce.service.recordings import CallRecordings, Direction, Sound
from vivavoce.service.redaction import customer_of, redactor, sees_personal
from vivavoce.store.interface import Store

MAX_NOTE_CHARACTERS = 100_000
MAX_ANNOTATION_CHARACTERS = 2_000
MOST_ANNOTATIONS = 1_000  # of one conversation
MOST_TAGS = 50
MAX_TAG_CHARACTERS = 100
BLOCK = 200  # conversations in memory at once, while many are streamed


class MeaningUnavailable(Invalid):
    code = "SEMANTIC_SEARCH_UNAVAILABLE"


class AnnotationNotFound(NotFound):
    code = "ANNOTATION_NOT_FOUND"


class ReviewInvalid(Invalid):
    code = "CONVERSATIONS_VALIDATION_FAILED"


class Found(Struct, frozen=True, kw_only=True):
    """All that is recorded of one conversation."""

    listed: Listed
    turns: Sequence[Turn]
    closing: Closing | None
    deliveries: Sequence[Delivery]
    finder: Finder  # by which its texts are looked at
    transcript: Transcript | None = None  # of all turns, where `turns` are some of them

    @property
    def conversation(self) -> Conversation:
        return self.listed.conversation


class GoingOn(Struct, frozen=True, kw_only=True):
    """Conversations that go on. `state` changes with every turn, `members` when one begins or ends."""

    items: list[Listed]
    has_more: bool
    state: str
    members: str


class Mark(Struct, frozen=True, kw_only=True):
    """An annotation as a reviewer asks for it."""

    turn: int
    role: Role
    type: AnnotationType
    reasons: tuple[BadReason, ...] = ()
    text: str = ""


class Conversations:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        deployments: Deployments,
        audit: Audit,
        finders: Finders,
        embedder: Embedder | None,
        recordings: CallRecordings,
    ) -> None:
        self._recordings = recordings
        self._finders = finders
        self._store = store
        self._audit = audit
        self._embedder = embedder
        self._clock = clock
        self._random = random
        self._deployments = deployments

    # Lists.

    async def page(
        self,
        principal: Principal,
        agent_id: str,
        criteria: Criteria,
        order: Order,
        *,
        limit: int,
        offset: int = 0,
        after: Position | None = None,
        account_id: str | None = None,
    ) -> Page:
        """`account_id` given must be the one in which the principal sees the agent."""
        account = await self._permitted(principal, agent_id, criteria, account_id)
        page = await self._store.find(account, agent_id, criteria, order, limit=limit, offset=offset, after=after)
        await self._note_read(principal, account, agent_id, len(page.items), criteria)
        return page

    async def going_on(
        self, principal: Principal, agent_id: str, *, limit: int, known: str | None = None
    ) -> GoingOn | None:
        """Those that have not ended, the newest first. None while they stand as `known` says: nothing is shown then."""
        criteria = Criteria(in_progress=True)
        account = await self._permitted(principal, agent_id, criteria, None)
        page = await self._store.find(account, agent_id, criteria, Order(), limit=limit)
        heads = [item.conversation for item in page.items]
        state = _digest(f"{head.id} {head.turns}" for head in heads)
        if state == known:
            return None
        await self._note_read(principal, account, agent_id, len(page.items), criteria)
        members = _digest(head.id for head in heads)
        return GoingOn(items=page.items, has_more=page.next is not None, state=state, members=members)

    async def head(self, principal: Principal, agent_id: str, id: str) -> Conversation:
        """How far it is and whether it has ended: for who asks that alone, since nobody notes that it was read."""
        require(principal, "read", agent_id)
        return (await self._any(principal, agent_id, id)).conversation

    async def count(self, principal: Principal, agent_id: str, criteria: Criteria) -> Count:
        account = await self._permitted(principal, agent_id, criteria, None)
        return await self._store.count(account, agent_id, criteria)

    async def stream(
        self,
        principal: Principal,
        agent_id: str,
        criteria: Criteria,
        order: Order,
        *,
        limit: int | None,
        offset: int = 0,
        after: Position | None = None,
        account_id: str | None = None,
    ) -> AsyncIterator[Page]:
        """The same in blocks, so that any number can be sent on without holding them all. Checks before the first."""
        account = await self._permitted(principal, agent_id, criteria, account_id)
        left = limit
        while left is None or left > 0:
            size = BLOCK if left is None else min(BLOCK, left)
            page = await self._store.find(account, agent_id, criteria, order, limit=size, offset=offset, after=after)
            await self._note_read(principal, account, agent_id, len(page.items), criteria)
            yield page
            if page.next is None:
                return
            after, offset = page.next, 0
            left = None if left is None else left - size

    async def sample(
        self, principal: Principal, agent_id: str, criteria: Criteria, *, limit: int, account_id: str | None = None
    ) -> Page:
        """So many at random."""
        account = await self._permitted(principal, agent_id, criteria, account_id)
        found = await self._store.sample(account, agent_id, criteria, limit=limit)
        await self._note_read(principal, account, agent_id, len(found), criteria)
        return Page(items=found, next=None)

    async def alike(
        self,
        principal: Principal,
        agent_id: str,
        criteria: Criteria,
        query: str,
        *,
        limit: int,
        offset: int = 0,
        account_id: str | None = None,
    ) -> Page:
        """Those nearest in meaning to a question, best first; the position is a rank."""
        account = await self._permitted(principal, agent_id, criteria, account_id)
        if self._embedder is None:
            raise MeaningUnavailable(
                "Search by meaning needs the embedding model, which is not there; query_type transcript works without."
            )
        (vector,) = await asyncio.to_thread(self._embedder.embed, [query])
        asked = Meaning(vector=vector, model=self._embedder.name, is_redacted=not sees_personal(principal))
        found = await self._store.alike(account, agent_id, criteria, asked, limit=limit + 1, offset=offset)
        await self._note_read(principal, account, agent_id, min(limit, len(found)), criteria)
        has_more = len(found) > limit
        return Page(
            items=[item for item, _ in found[:limit]],
            next=Position(value=offset + limit, number=0) if has_more else None,
        )

    async def transcripts(self, principal: Principal, listed: Sequence[Listed]) -> list[Transcript]:
        """What was said in conversations that a list has given."""
        for agent_id in {item.conversation.agent_id for item in listed}:
            require(principal, "read", agent_id)
        return await self._store.transcripts([item.conversation for item in listed])

    async def _note_read(
        self, principal: Principal, account_id: str, agent_id: str, count: int, criteria: Criteria
    ) -> None:
        """Also what was asked and found nothing, where the question alone may tell something."""
        is_pointed = bool(criteria.contacts or criteria.metrics or criteria.text)
        if (count or is_pointed) and sees_personal(principal):
            await self._audit.note(principal, "conversations.read", account_id, agent_id, conversations=count)

    async def _permitted(self, principal: Principal, agent_id: str, criteria: Criteria, account_id: str | None) -> str:
        require(principal, "read", agent_id)
        found = await self._deployments.account_of(principal, agent_id)
        if account_id is not None and account_id != found:
            raise AgentNotFound(f"There is no agent {agent_id!r} in account {account_id!r}.")
        if not sees_personal(principal) and (criteria.contacts or criteria.metrics):
            # What may not be seen may not be asked about either: a hit would tell it.
            raise Forbidden(
                "This API key may not see personal data, so it may not filter by contact or metric; "
                "it lacks the permission 'pii'."
            )
        return found

    # One conversation.

    async def get(self, principal: Principal, agent_id: str, id: str, *, account_id: str | None = None) -> Found:
        listed = await self._listed(principal, agent_id, id, account_id)
        conversation = listed.conversation
        return Found(
            listed=listed,
            turns=await self._store.turns(conversation),
            closing=await self._store.closing(conversation),
            deliveries=await self._store.deliveries(conversation),
            finder=await self._finders(conversation.account_id, agent_id),
        )

    async def part(
        self,
        principal: Principal,
        agent_id: str,
        id: str,
        *,
        first: int,
        limit: int,
        has_history: bool = False,
    ) -> Found:
        """Some of its turns, and what was said in all of them. Without `has_history` model requests have no messages of turns before."""
        listed = await self._listed(principal, agent_id, id)
        conversation = listed.conversation
        (transcript,) = await self._store.transcripts([conversation])
        return Found(
            listed=listed,
            turns=await self._store.turns(conversation, first=first, limit=limit, has_history=has_history),
            closing=await self._store.closing(conversation),
            deliveries=await self._store.deliveries(conversation),
            finder=await self._finders(conversation.account_id, agent_id),
            transcript=transcript,
        )

    async def one(self, principal: Principal, agent_id: str, id: str, *, account_id: str) -> Listed:
        return await self._listed(principal, agent_id, id, account_id)

    async def recording(
        self, principal: Principal, agent_id: str, id: str, *, direction: Direction, is_redacted: bool, is_mono: bool
    ) -> Sound:
        """The sound of a call. Raises RecordingNotFound where there is none, or none that may be heard yet."""
        listed = await self._listed(principal, agent_id, id)
        return await self._recordings.sound(
            principal,
            listed.conversation,
            direction=direction,
            is_redacted=is_redacted,
            is_mono=is_mono,
            rules=(await self._finders(listed.conversation.account_id, agent_id)).name,
        )

    async def _listed(self, principal: Principal, agent_id: str, id: str, account_id: str | None = None) -> Listed:
        require(principal, "read", agent_id)
        found = await self._any(principal, agent_id, id, account_id)
        if sees_personal(principal):
            await self._audit.note(
                principal, "conversation.read", found.conversation.account_id, agent_id, found.conversation.id
            )
        return found

    async def _any(self, principal: Principal, agent_id: str, id: str, account_id: str | None = None) -> Listed:
        account = await self._deployments.account_of(principal, agent_id)
        found = await self._store.listed(account, agent_id, id) if account_id in (None, account) else None
        if found is None:
            raise ConversationNotFound
        return found

    # Review.

    async def put_note(self, principal: Principal, agent_id: str, id: str, text: str, *, author: str) -> None:
        """Replaces the note; an empty one takes it away."""
        if len(text) > MAX_NOTE_CHARACTERS:
            raise ReviewInvalid(f"note has {len(text):,} characters; at most {MAX_NOTE_CHARACTERS:,} are taken.")
        _check_text("note", text)
        require(principal, "write", agent_id)
        known = await self._known(principal, (await self._any(principal, agent_id, id)).conversation)
        note = (
            Note(
                text=text,
                redacted=await asyncio.to_thread(known.written, text),
                is_informed=sees_personal(principal),
                author=author,
                at=self._clock.now(),
            )
            if text.strip()
            else None
        )
        await self._revise(principal, agent_id, id, "conversation.note", lambda review: replace(review, note=note))

    async def put_tags(self, principal: Principal, agent_id: str, id: str, tags: Sequence[str]) -> tuple[str, ...]:
        """Replaces the tags; returns them as they are kept."""
        kept = tuple(dict.fromkeys(tag.strip() for tag in tags))
        for tag in kept:
            _check_text("a tag", tag)
        if len(kept) > MOST_TAGS or any(not 0 < len(tag) <= MAX_TAG_CHARACTERS for tag in kept):
            raise ReviewInvalid(f"tags may be up to {MOST_TAGS}, of 1 to {MAX_TAG_CHARACTERS} characters each.")
        review = await self._revise(
            principal, agent_id, id, "conversation.tags", lambda review: replace(review, tags=kept)
        )
        return review.tags

    async def annotate(
        self, principal: Principal, agent_id: str, id: str, marks: Sequence[Mark], *, author: str
    ) -> list[Annotation]:
        """Adds annotations. The same mark by the same author replaces the one before."""
        require(principal, "write", agent_id)
        conversation = (await self._any(principal, agent_id, id)).conversation
        for number, mark in enumerate(marks):
            _check(mark, conversation, f"annotations[{number}]")
        now = self._clock.now()
        known = await self._known(principal, conversation)
        redacted = await asyncio.to_thread(lambda: {mark.text: known.written(mark.text) for mark in marks})
        added = [
            Annotation(
                id=self._random.uuid(),
                turn=mark.turn,
                role=mark.role,
                type=mark.type,
                reasons=mark.reasons,
                text=mark.text,
                redacted=redacted[mark.text],
                is_informed=sees_personal(principal),
                author=author,
                at=now,
            )
            for mark in {_place(mark, author): mark for mark in marks}.values()
        ]

        def change(review: Review) -> Review:
            places = {_place(annotation, author) for annotation in added}
            kept = [a for a in review.annotations if _place(a, a.author) not in places]
            if len(kept) + len(added) > MOST_ANNOTATIONS:
                raise ReviewInvalid(f"A conversation takes at most {MOST_ANNOTATIONS:,} annotations.")
            return replace(review, annotations=(*kept, *added))

        await self._store.revise(conversation, change)
        await self._audit.note(
            principal, "conversation.annotate", conversation.account_id, agent_id, id, annotations=len(added)
        )
        return added

    async def _known(self, principal: Principal, conversation: Conversation) -> Redactor:
        """What hides all that was found personal in a conversation.

        For a writer who may not see it, only the rules: what they hide tells nothing of the conversation, while a note full
        of guesses, hidden by what it holds, would tell which of them are right.
        """
        finder = await self._finders(conversation.account_id, conversation.agent_id)
        if not sees_personal(principal):
            return Redactor(finder=finder)
        (transcript,) = await self._store.transcripts([conversation])
        return redactor(transcript.turns, [customer_of(conversation)], finder)

    async def annotations(self, principal: Principal, agent_id: str, id: str) -> Sequence[Annotation]:
        return (await self._listed(principal, agent_id, id)).review.annotations

    async def remove_annotation(self, principal: Principal, agent_id: str, id: str, annotation_id: str) -> None:
        def change(review: Review) -> Review:
            kept = tuple(a for a in review.annotations if a.id != annotation_id)
            if len(kept) == len(review.annotations):
                raise AnnotationNotFound("The conversation has no annotation of that id.")
            return replace(review, annotations=kept)

        await self._revise(principal, agent_id, id, "conversation.unannotate", change)

    async def _revise(
        self, principal: Principal, agent_id: str, id: str, action: Action, change: Callable[[Review], Review]
    ) -> Review:
        require(principal, "write", agent_id)
        conversation = (await self._any(principal, agent_id, id)).conversation
        review = await self._store.revise(conversation, change)
        await self._audit.note(principal, action, conversation.account_id, agent_id, id)
        return review


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _check(mark: Mark, conversation: Conversation, where: str) -> None:
    """A mark must be about something that is there."""
    if not 0 <= mark.turn < conversation.turns:
        raise ReviewInvalid(
            f"{where}.turnId is {mark.turn}; the conversation has turns 0 to {conversation.turns - 1} (0 is the greeting)."
        )
    if mark.role == "user" and mark.turn == 0:
        raise ReviewInvalid(
            f"{where}: turn 0 is the greeting, in which the user says nothing; its role can be agent only."
        )
    if mark.type in ("good_response", "bad_response") and mark.role != "agent":
        raise ReviewInvalid(f"{where}: {mark.type} is about what the agent said; its role can be agent only.")
    if mark.reasons and mark.type != "bad_response":
        raise ReviewInvalid(f"{where}.reasons belong to bad_response, not to {mark.type}.")
    if len(mark.text) > MAX_ANNOTATION_CHARACTERS:
        raise ReviewInvalid(f"{where}.text may have {MAX_ANNOTATION_CHARACTERS:,} characters at most.")
    _check_text(f"{where}.text", mark.text)


def _check_text(where: str, text: str) -> None:
    if "\0" in text:
        raise ReviewInvalid(f"{where} holds a NUL character, which no text may.")


def _place(mark: Mark | Annotation, author: str) -> tuple[Any, ...]:
    return (mark.turn, mark.role, mark.type, author)
