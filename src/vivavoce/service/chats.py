"""Conversations by text: opening one, answering a message, ending it. A reply leaves only after its turn is on disk."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vivavoce.domain.agent import Agent
from vivavoce.domain.call import Spoken
from vivavoce.domain.conversation import Conversation, EndReason, Snapshot, Subject, Turn, UserInput
from vivavoce.domain.fact import Fact
from vivavoce.domain.ids import is_conversation_id
from vivavoce.domain.principal import Principal
from vivavoce.domain.surroundings import Surroundings
from vivavoce.domain.work import Work
from vivavoce.engine import closing, turn
from vivavoce.engine.draft import Ports
from vivavoce.engine.prepared import Prepared
from vivavoce.engine.progress import Finished, Progress
from vivavoce.engine.session import Session, personal_values
from vivavoce.engine.tools import is_plain
from vivavoce.entities import languages
from vivavoce.errors import (
    AgentNotFound,
    ConversationEnded,
    ConversationExists,
    ConversationNotFound,
    ConversationTimedOut,
    IdempotencyKeyReused,
    Invalid,
)
from vivavoce.project.identity import is_language
from vivavoce.redaction.finder import BUILT_IN, Finder
from vivavoce.service import handoffs, outbox, redaction, reviews
from vivavoce.service.access import require
from vivavoce.service.claims import Claims, Held
from vivavoce.service.deployments import Deployments, environment_of
from vivavoce.service.events import Events
from vivavoce.service.experiments import Assignments
from vivavoce.service.finders import Finders
from vivavoce.service.manner import is_discarded
from vivavoce.service.memories import Memories, identifier
from vivavoce.service.real_time import RealTimeConfigs
from vivavoce.store.interface import Reply, Store
from vivavoce.telemetry.interface import Telemetry

log = logging.getLogger(__name__)

MOST_SESSIONS = 4096  # conversations kept in memory
SESSION_SECONDS = 60.0  # without a turn, after which one is kept no longer: reading it again costs a millisecond
IDEMPOTENCY_HOURS = 24
MAX_MESSAGE_CHARACTERS = 32_768
MAX_CONTACT_CHARACTERS = 320  # of an address at most
CHANNELS = ("chat.polyai", "webchat.polyai", "sip.polyai", "sms.polyai", "sms.twilio", "rcs.polyai", "whatsapp.polyai")

END_FUNCTION = "end_function"
IDLE_END = "idle_end"


class Opening(Struct, frozen=True, kw_only=True):
    """What a caller may say about a new conversation."""

    environment: str
    deployment: str | None = None  # begins on that one, whatever serves the environment
    id: str | None = None
    variant: str | None = None
    channel: str | None = None
    asr_language: str | None = None
    tts_language: str | None = None
    integration_attributes: dict[str, Any] = {}
    caller_number: str | None = None
    callee_number: str | None = None
    sip_headers: dict[str, str] = {}
    simulated_at: str | None = None
    is_recorded: bool = False  # its sound is kept
    direction: str = "inbound"


class Said(Struct, frozen=True, kw_only=True):
    """One message. `environment` None is whichever the conversation has."""

    text: str = ""
    environment: str | None = None
    asr_language: str | None = None
    tts_language: str | None = None
    metadata: dict[str, Any] | None = None
    dtmf: str | None = None  # keys; None is what the metadata says
    spoken: Spoken | None = None  # how a call heard it


class Taken(Struct, frozen=True, kw_only=True):
    """A committed turn."""

    conversation: Conversation
    turn: Turn
    snapshot: Snapshot
    metrics: list[tuple[str, Any]]
    personal: list[tuple[str, str]] = []  # what was found personal so far, and of what kind
    finder: Finder = BUILT_IN  # by which its texts are looked at


class Answered(Struct, frozen=True, kw_only=True):
    """A reply that was given before, for the same idempotency key."""

    status: int
    body: bytes


class Idempotency(Struct, frozen=True, kw_only=True):
    """A caller's key, a hash of what it asked, and how the answer is written, so that it is kept with the turn."""

    key: str
    fingerprint: str
    is_of_conversation: bool = False  # no other conversation can have it
    render: Callable[[Taken], tuple[int, bytes]]


class Around(Struct, frozen=True, kw_only=True):
    """Where a conversation's surroundings come from."""

    real_time: RealTimeConfigs
    memories: Memories
    events: Events


_Key = tuple[str, str, str]


class Chats:
    def __init__(
        self,
        store: Store,
        deployments: Deployments,
        assignments: Assignments,
        ports: Ports,
        around: Around,
        finders: Finders,
        claims: Claims,
        telemetry: Telemetry,
        *,
        idle: timedelta,
    ) -> None:
        self._finders = finders
        self._store = store
        self._around = around
        self._deployments = deployments
        self._assignments = assignments
        self._ports = ports
        self._idle = idle
        self._claims = claims
        self._telemetry = telemetry
        self._sessions: OrderedDict[_Key, Session] = OrderedDict()  # the one that was used last is the last
        self._used: dict[_Key, float] = {}
        self._evicting: set[asyncio.Task[None]] = set()

    async def open(
        self, principal: Principal, agent_id: str, opening: Opening, *, idempotency: Idempotency | None = None
    ) -> Taken | Answered:
        return await _last(self.opening(principal, agent_id, opening, idempotency=idempotency))

    async def respond(
        self, principal: Principal, agent_id: str, id: str, said: Said, *, idempotency: Idempotency | None = None
    ) -> Taken | Answered:
        return await _last(self.responding(principal, agent_id, id, said, idempotency=idempotency))

    async def opening(
        self, principal: Principal, agent_id: str, opening: Opening, *, idempotency: Idempotency | None = None
    ) -> AsyncIterator[Progress | Taken | Answered]:
        """Yields progress, then the committed turn."""
        require(principal, "chat", agent_id)
        id = opening.id or f"AS_CHAT_{self._ports.random.uuid()}"
        deployment = await self._deployments.resolve(principal, agent_id, opening.environment, id=opening.deployment)
        if opening.deployment is None:
            deployment = await self._assignments.deployment_for(deployment, opening.environment, id)
        prepared = await self._deployments.prepared(deployment.tree)
        conversation, snapshot = self._new(id, opening, prepared, deployment.account_id, agent_id, deployment.id)
        async with (
            self._repeats(deployment.account_id, idempotency) as alone,
            self._hold(*_key(conversation)) as held,
        ):
            if idempotency is not None and (known := await self._answered(deployment.account_id, idempotency)):
                yield known
                return
            if opening.id is not None and await self._store.get(conversation.account_id, agent_id, opening.id):
                raise ConversationExists(
                    f"There is already a conversation {opening.id!r}; leave conversationId out to get a new one."
                )
            session = Session(conversation, prepared, snapshot)
            await self._look_around(session)
            async for progress in turn.start(session, self._ports):
                if isinstance(progress, Finished):
                    yield await self._commit(session, progress, idempotency, alone or held)
                else:
                    yield progress

    async def responding(
        self, principal: Principal, agent_id: str, id: str, said: Said, *, idempotency: Idempotency | None = None
    ) -> AsyncIterator[Progress | Taken | Answered]:
        """Yields progress, then the committed turn."""
        require(principal, "chat", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        user_input = _input(said)
        shared = idempotency if idempotency is not None and not idempotency.is_of_conversation else None
        async with self._repeats(account_id, shared), self._hold(account_id, agent_id, id) as held:
            if idempotency is not None and (known := await self._answered(account_id, idempotency)):
                yield known
                return
            session = await self._session(account_id, agent_id, id)
            self._check(session.conversation, said)
            await self._look_around(session)
            async for progress in turn.respond(session, user_input, self._ports):
                if isinstance(progress, Finished):
                    yield await self._commit(session, progress, idempotency, held)
                else:
                    yield progress

    async def end(self, principal: Principal, agent_id: str, id: str, reason: EndReason = "client") -> Conversation:
        """Ends a conversation from outside; ending an ended one changes nothing."""
        require(principal, "chat", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        return await self._end(account_id, agent_id, id, reason)

    async def _end(self, account_id: str, agent_id: str, id: str, reason: EndReason) -> Conversation:
        async with self._hold(account_id, agent_id, id) as held:
            session = await self._session(account_id, agent_id, id)
            if session.conversation.is_ended:
                return session.conversation
            now = self._ports.clock.now()
            ended = replace(session.conversation, end_reason=reason, finished_at=now)
            await self._store.end(ended, work=[_end_function(ended, now)], claim=held.claim)
            session.conversation = ended
            return ended

    async def amend(self, conversation: Conversation, index: int, change: Callable[[Turn], Turn]) -> None:
        """Changes a turn by what has become known since it was taken. The next turn goes by what it says then."""
        key = _key(conversation)
        async with self._hold(*key):
            await self._store.amend(conversation, index, change)
            self._drop(key)

    async def settled(self, account_id: str, agent_id: str, id: str) -> None:
        """Returns when no turn of it is under way. Raises ConversationBusy."""
        async with self._hold(account_id, agent_id, id):
            pass

    @asynccontextmanager
    async def closed(self, conversation: Conversation) -> AsyncIterator[None]:
        """Nobody takes a turn of it meanwhile, and nothing of it stays in this process: not in memory, not in a worker."""
        key = _key(conversation)
        async with self._hold(*key):
            self._drop(key)
            await self._ports.functions.evict(conversation)
            yield

    def forget(self, is_gone: Callable[[Subject], bool]) -> None:
        """Nothing of conversations that another process has erased stays here."""
        idle = [key for key in self._sessions if not self._claims.is_held_here("conversation", *key)]
        for key in [key for key in idle if is_gone(Subject(*key))]:
            session = self._drop(key)
            if session is not None:
                task = asyncio.ensure_future(self._ports.functions.evict(session.conversation))
                self._evicting.add(task)
                task.add_done_callback(self._evicting.discard)

    # Background work.

    async def end_if_idle(self, work: Work) -> datetime | None:
        """The idle end: when to look again, or None when there is nothing more to do."""
        assert work.subject is not None
        account_id, agent_id, id_ = msgspec.structs.astuple(work.subject)
        conversation = await self._store.get(account_id, agent_id, id_)
        if conversation is None or conversation.is_ended:
            return None
        due = conversation.last_turn_at + self._idle
        if due > self._ports.clock.now():
            return due
        await self._end(account_id, agent_id, id_, "idle")
        return None

    async def run_end_function(self, work: Work) -> None:
        """Once for each conversation: what it did is kept, and its being kept is what says that it ran."""
        assert work.subject is not None
        account_id, agent_id, id_ = msgspec.structs.astuple(work.subject)
        async with self._hold(account_id, agent_id, id_) as held:
            try:
                session = await self._session(account_id, agent_id, id_)
            except (ConversationNotFound, AgentNotFound):
                return
            if await self._store.closing(session.conversation) is None:
                await self._look_around(session)
                await self._close(session, held)
            await self._ports.functions.evict(session.conversation)
            self._drop((account_id, agent_id, id_))

    # Parts.

    @asynccontextmanager
    async def _hold(self, account_id: str, agent_id: str, id: str) -> AsyncIterator[Held]:
        """One turn at a time. What is kept here of a conversation that another process has had since is forgotten at once:
        the next claim will not tell any more."""
        async with self._claims.hold("conversation", account_id, agent_id, id) as held:
            if not held.is_continued:
                session = self._drop((account_id, agent_id, id))
                if session is not None:
                    await self._ports.functions.evict(session.conversation)
            yield held

    def _repeats(self, account_id: str, idempotency: Idempotency | None) -> AbstractAsyncContextManager[Held | None]:
        """One request at a time for one idempotency key."""
        return self._claims.hold("open", account_id, idempotency.key) if idempotency is not None else nullcontext()

    async def _look_around(self, session: Session) -> None:
        """What the next turn finds besides the conversation: live configuration, memory, events that came in."""
        conversation, agent = session.conversation, session.prepared.agent
        known = session.surroundings
        configuration = await self._around.real_time.current(conversation, agent)
        memory = known.memory or session.memory
        settings = agent.experimental.memory
        if memory is None and settings is not None:
            who = identifier(conversation, settings, session.snapshot.view)
            if who is not None and who != session.asked_for:
                session.asked_for = who
                memory = await self._around.memories.recall(conversation, who)
        events = known.events if len(known.events) >= len(session.events) else session.events
        if session.snapshot.events:
            received = await self._around.events.received(conversation, session.snapshot.events)
            seen = {(event.id, event.at) for event in events}
            fresh = tuple(event for event in received if (event.id, event.at) not in seen)
            events = (*events, *fresh) if fresh else events
        if configuration is not known.configuration or memory is not known.memory or events is not known.events:
            session.look_around(Surroundings(configuration=configuration, memory=memory, events=events))

    async def _close(self, session: Session, held: Held) -> None:
        """Runs the end function; what it did, what it sends and what is remembered of the caller are written as one."""
        conversation, settings = session.conversation, session.prepared.agent.experimental.memory
        done = await closing.close(session, self._ports)
        now = self._ports.clock.now()
        work = [*outbox.work_for(conversation, done.calls, outbox.CLOSING, now), reviews.work_for(conversation, now)]
        if settings is None:
            await self._store.put_closing(conversation, done, work=work, claim=held.claim)
            return
        turns = await self._store.turns(conversation)
        async with self._around.memories.remembering(conversation, settings, session.snapshot, turns, done) as facts:
            await self._store.put_closing(conversation, done, work=work, facts=facts, claim=held.claim)

    def _new(
        self, id: str, opening: Opening, prepared: Prepared, account_id: str, agent_id: str, deployment_id: str
    ) -> tuple[Conversation, Snapshot]:
        agent = prepared.agent
        channel = opening.channel or CHANNELS[0]
        if channel not in CHANNELS:
            raise Invalid(f"channel is {channel[:40]!r}; it should be one of {', '.join(CHANNELS)}.")
        if opening.id is not None and not is_conversation_id(opening.id):
            raise Invalid(
                "conversationId should be 1-128 letters, digits and . _ : @ + -, beginning with a letter or digit."
            )
        if not is_plain(opening.integration_attributes):
            raise Invalid("integrationAttributes may be nested 32 levels deep, with whole numbers of at most 64 bits.")
        for field, number in (("callerNumber", opening.caller_number), ("calleeNumber", opening.callee_number)):
            if number is not None and not (len(number) <= MAX_CONTACT_CHARACTERS and number.isprintable()):
                raise Invalid(f"{field} should be a number or address of at most {MAX_CONTACT_CHARACTERS} characters.")
        variant = opening.variant or agent.variants.default
        if opening.variant and opening.variant not in agent.variants.names:
            raise Invalid(
                f"There is no variant {opening.variant[:80]!r}; there are: {', '.join(agent.variants.names) or 'none'}."
            )
        now = self._ports.clock.now()
        asr = _configured(agent, _language(opening.asr_language, "asrLangCode")) or agent.languages.default
        tts = _configured(agent, _language(opening.tts_language, "ttsLangCode")) or asr
        conversation = Conversation(
            account_id=account_id,
            agent_id=agent_id,
            id=id,
            environment=environment_of(opening.environment),
            channel=channel,
            tree=prepared.tree,
            deployment_id=deployment_id,
            variant=variant,
            language=tts,
            started_at=now,
            last_turn_at=now,
            from_number=opening.caller_number,
            to_number=opening.callee_number,
            integration_attributes=opening.integration_attributes,
            sip_headers=opening.sip_headers,
            pinned_at=_moment(opening.simulated_at),
            is_recorded=opening.is_recorded,
            direction=opening.direction,
        )
        conversation = replace(conversation, test_group=_test_group(agent, conversation.id))
        return conversation, Snapshot(asr_language=asr, tts_language=tts, variant=variant)

    def _check(self, conversation: Conversation, said: Said) -> None:
        now = self._ports.clock.now()
        if conversation.end_reason == "idle" or (
            not conversation.is_ended and now - conversation.last_turn_at > self._idle
        ):
            raise ConversationTimedOut("The conversation was idle for too long and has ended; start a new one.")
        if conversation.is_ended:
            raise ConversationEnded("The conversation has ended; start a new one.")
        if said.environment is not None and environment_of(said.environment) != conversation.environment:
            raise Invalid(
                f"clientEnv is {said.environment!r}, but the conversation runs in {conversation.environment!r}."
            )

    async def _session(self, account_id: str, agent_id: str, id: str) -> Session:
        key = (account_id, agent_id, id)
        session = self._sessions.get(key)
        if session is not None:
            self._sessions.move_to_end(key)
            self._used[key] = monotonic()
            return session
        conversation = await self._store.get(account_id, agent_id, id)
        if conversation is None:
            raise ConversationNotFound
        prepared = await self._deployments.prepared(conversation.tree)
        session = Session(
            conversation, prepared, await self._store.snapshot(conversation), await self._store.turns(conversation)
        )
        self._remember(key, session)
        return session

    def _remember(self, key: _Key, session: Session) -> None:
        now = monotonic()
        self._sessions[key], self._used[key] = session, now
        self._sessions.move_to_end(key)
        while (oldest := next(iter(self._sessions))) != key:
            if len(self._sessions) <= MOST_SESSIONS and now - self._used[oldest] < SESSION_SECONDS:
                break
            self._drop(oldest)

    def _drop(self, key: _Key) -> Session | None:
        self._used.pop(key, None)
        return self._sessions.pop(key, None)

    async def _commit(self, session: Session, finished: Finished, idempotency: Idempotency | None, held: Held) -> Taken:
        """One transaction: the turn, the snapshot, the head, the work that follows, the reply for its key."""
        finder = await self._finders(session.conversation.account_id, session.conversation.agent_id)
        taken_turn, snapshot = (
            replace(finished.turn, personal=await redaction.look(finished.turn, finder)),
            finished.snapshot,
        )
        conversation = _advanced(session.conversation, taken_turn, snapshot)
        metrics = [*session.metrics, *((m.name, m.value) for m in taken_turn.metrics)]
        personal = [*session.personal, *personal_values(taken_turn)]
        taken = Taken(
            conversation=conversation,
            turn=taken_turn,
            snapshot=snapshot,
            metrics=metrics,
            personal=personal,
            finder=finder,
        )
        reply = self._reply(conversation, idempotency, taken) if idempotency is not None else None
        work = outbox.work_for(conversation, taken_turn.calls, taken_turn.index, taken_turn.finished_at)
        if conversation.is_ended:
            work.append(_end_function(conversation, taken_turn.finished_at))
        elif taken_turn.index == 0:
            work.append(_work(IDLE_END, conversation, taken_turn.finished_at + self._idle))
        key = _key(conversation)
        try:
            facts = self._shared(session, conversation, snapshot)
            if taken_turn.index == 0:
                await self._store.create(
                    conversation, taken_turn, snapshot, work=work, facts=facts, reply=reply, claim=held.claim
                )
            else:
                await self._store.append(
                    conversation, taken_turn, snapshot, work=work, facts=facts, reply=reply, claim=held.claim
                )
                held.is_given_back = True
        except BaseException:
            # Somebody else took a turn, or whether it was written is not known: the store will say.
            self._drop(key)
            await self._ports.functions.evict(conversation)
            raise
        self._telemetry.turn(conversation, taken_turn)
        session.accept(conversation, taken_turn, snapshot)
        self._remember(key, session)
        return taken

    def _shared(self, session: Session, conversation: Conversation, snapshot: Snapshot) -> list[Fact]:
        """An id that author code has put into the state, under which others may ask for the conversation."""
        settings = session.prepared.agent.experimental.handoff_api
        shared = handoffs.shared_id_of(settings, snapshot)
        if shared is None or shared == handoffs.shared_id_of(settings, session.snapshot):
            return []
        return [handoffs.shared_id_fact(conversation, shared)]

    def _reply(self, conversation: Conversation, idempotency: Idempotency, taken: Taken) -> Reply:
        status, body = idempotency.render(taken)
        return Reply(
            account_id=conversation.account_id,
            key=idempotency.key,
            fingerprint=idempotency.fingerprint,
            status=status,
            body=body,
            expires_at=self._ports.clock.now() + timedelta(hours=IDEMPOTENCY_HOURS),
        )

    async def _answered(self, account_id: str, idempotency: Idempotency) -> Answered | None:
        known = await self._store.reply(account_id, idempotency.key, self._ports.clock.now())
        if known is None:
            return None
        if known.fingerprint != idempotency.fingerprint:
            raise IdempotencyKeyReused("This Idempotency-Key was used for another request; use a new one for each.")
        return Answered(status=known.status, body=known.body)


async def _last(progress: AsyncIterator[Progress | Taken | Answered]) -> Taken | Answered:
    """Runs a turn to its end; the claim is given back only when all of it was consumed."""
    last: Progress | Taken | Answered | None = None
    async for item in progress:
        last = item
    assert isinstance(last, (Taken, Answered))
    return last


def _test_group(agent: Agent, conversation_id: str) -> str | None:
    """The group that a conversation falls into: by its id, so that anybody can tell again."""
    if not agent.test_groups:
        return None
    digest = hashlib.sha256(f"{agent.identity.agent_id}/{conversation_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64 * 100
    for group in agent.test_groups:
        place -= group.percent
        if place < 0:
            return group.name
    return None


def _key(conversation: Conversation) -> _Key:
    return (conversation.account_id, conversation.agent_id, conversation.id)


def _advanced(conversation: Conversation, taken: Turn, snapshot: Snapshot) -> Conversation:
    handoff = taken.handoff if taken.handoff is not None and taken.handoff.is_transfer else None
    return replace(
        conversation,
        is_recorded=conversation.is_recorded and not is_discarded(taken, snapshot),
        turns=taken.index + 1,
        last_turn_at=taken.finished_at,
        language=taken.tts_language,
        end_reason=taken.end_reason,
        finished_at=taken.finished_at if taken.end_reason is not None else None,
        is_handoff=handoff is not None,
        handoff_destination=handoff.destination if handoff is not None else None,
        handoff_reason=(handoff.reason or None) if handoff is not None else None,
    )


def _work(kind: str, conversation: Conversation, due_at: datetime) -> Work:
    return Work(kind=kind, key="", subject=conversation.subject, due_at=due_at)


def _end_function(conversation: Conversation, due_at: datetime) -> Work:
    return _work(END_FUNCTION, conversation, due_at)


def _input(said: Said) -> UserInput:
    if len(said.text) > MAX_MESSAGE_CHARACTERS:
        raise Invalid(f"message has {len(said.text):,} characters; at most {MAX_MESSAGE_CHARACTERS:,} are taken.")
    dtmf = (said.metadata or {}).get("dtmf", "") if said.dtmf is None else said.dtmf
    if not isinstance(dtmf, str) or any(c not in "0123456789*#ABCDabcd" for c in dtmf) or len(dtmf) > 64:
        raise Invalid("metadata.dtmf should be up to 64 of 0-9, *, # and A-D.")
    return UserInput(
        text=said.text.strip(),
        dtmf=dtmf,
        asr_language=_language(said.asr_language, "asrLangCode"),
        tts_language=_language(said.tts_language, "ttsLangCode"),
        metadata=said.metadata,
        spoken=said.spoken,
    )


def _language(tag: str | None, field: str) -> str | None:
    if not tag:
        return None
    if not is_language(tag) or len(tag) > 35:
        raise Invalid(f"{field} is {tag[:40]!r}; it should be a language tag such as en-GB.")
    return tag


def _configured(agent: Agent, tag: str | None) -> str | None:
    """The agent's own spelling of a language, where it has several and this is one of them."""
    return (languages.match(tag, agent.languages.all) or tag) if tag and agent.languages.additional else tag


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"simulatedAt is {text[:40]!r}; it should be an ISO 8601 time.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
