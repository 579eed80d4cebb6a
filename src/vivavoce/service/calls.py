"""Calls: who may place one, on which line it comes in, and what remains of it. The conversation itself is a chat by voice."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.conversation import Conversation, EndReason, Subject
from vivavoce.domain.ids import is_conversation_id
from vivavoce.domain.principal import Principal
from vivavoce.domain.work import Work
from vivavoce.errors import ConversationBusy, ConversationExists, Invalid, VivavoceError
from vivavoce.recordings.spool import SpoolFile
from vivavoce.service.access import require
from vivavoce.service.chats import Chats, Opening
from vivavoce.service.claims import Claims
from vivavoce.service.conducting import Conducting
from vivavoce.service.deployments import Deployments
from vivavoce.service.invitations import RETRY_AFTER_SECONDS, Expected, Invitation, Invitations, TooManyCalls
from vivavoce.service.news import News
from vivavoce.service.recordings import CallRecordings
from vivavoce.speech.interface import Synthesizer
from vivavoce.store.interface import Store
from vivavoce.voice.call import Call, Engines
from vivavoce.voice.line import Line
from vivavoce.voice.pace import Pace, RealTime

log = logging.getLogger(__name__)
CHANNEL = "sip.polyai"
CALL = "call"  # what is claimed while a call goes on
WATCH_CALL = "watch_call"  # kind of work
WATCH_AFTER = timedelta(seconds=20)
OPEN_DOOR = "calls"  # for lines that are no carrier's
DROP_SECONDS = 40.0  # for a call to end; a turn that runs is waited for


class Ended(Struct, frozen=True, kw_only=True):
    """How a call ended. `conversation` None: it never began."""

    reason: EndReason
    seconds: float
    conversation: Conversation | None


class Calls:
    """Where the engines are missing, a call is refused with what to install."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        chats: Chats,
        deployments: Deployments,
        recordings: CallRecordings,
        engines: Callable[[], Awaitable[Engines]],
        claims: Claims,
        news: News,
        *,
        apology: str,
        most: int,
        mark: Callable[[Subject], str],
        speaker: Callable[[Synthesizer, str, str, str], Synthesizer] | None = None,
        is_recording: bool = True,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._chats = chats
        self._deployments = deployments
        self._recordings = recordings
        self._engines = engines
        self._speaker = speaker
        self._claims = claims
        self._mark = mark  # names a conversation to other processes, and tells nothing: an id may be a telephone number
        self._news = news
        news.on("calls", self._drop_told)
        self._apology = apology
        self._most = most
        self._is_draining = False
        self._is_recording = is_recording
        self._invitations = Invitations(store, clock, random)
        self._live: set[_Live] = set()
        self._tasks: set[asyncio.Task[object]] = set()
        self.going_on = 0

    # Who may call.

    async def invite(
        self, principal: Principal, agent_id: str, opening: Opening, *, door: str = OPEN_DOOR, is_told: bool = True
    ) -> Invitation:
        """Lets one line in through that door, within a minute. The engines are there by then, or this says what is missing."""
        require(principal, "chat", agent_id)
        await self._deployments.resolve(principal, agent_id, opening.environment)
        self._check_room()
        self._invitations.check(opening)
        await self._engines()
        self._invitations.check_room(principal)
        if opening.id is not None:
            account_id = await self._deployments.account_of(principal, agent_id)
            if not is_conversation_id(opening.id):
                raise Invalid(
                    "conversationId should be 1-128 letters, digits and . _ : @ + -, beginning with a letter or digit."
                )
            if await self._store.get(account_id, agent_id, opening.id) is not None:
                raise ConversationExists(
                    f"There is already a conversation {opening.id!r}; leave conversationId out to get a new one."
                )
        opening = replace(opening, id=opening.id or f"LOCAL-{self._random.uuid()}")
        expected = Expected(principal=principal, agent_id=agent_id, opening=opening, door=door, is_told=is_told)
        return await self._invitations.offer(expected)

    async def accept(self, token: str, door: str = OPEN_DOOR) -> Expected:
        """Takes a token in; it is not worth anything any more. Raises Unauthenticated."""
        return await self._invitations.accept(token, door)

    def _check_room(self) -> None:
        if self._is_draining:
            raise TooManyCalls("This server is about to stop; call again.", retry_after=1.0)
        if self.going_on >= self._most:
            raise TooManyCalls(
                f"{self._most} calls are going on, which is as many as this server takes (VIVAVOCE_CALLS).",
                retry_after=RETRY_AFTER_SECONDS,
            )

    # A call.

    async def hold(
        self,
        principal: Principal,
        agent_id: str,
        opening: Opening,
        line: Line,
        *,
        pace: Pace | None = None,
        engines: Engines | None = None,
    ) -> Ended:
        """A whole call, from the greeting until it is over and its recording is kept."""
        require(principal, "chat", agent_id)
        self._check_room()
        self.going_on += 1  # at once: what follows waits
        try:
            return await self._hold(principal, agent_id, opening, line, pace or RealTime(), engines)
        finally:
            self.going_on -= 1

    async def _hold(
        self,
        principal: Principal,
        agent_id: str,
        opening: Opening,
        line: Line,
        pace: Pace,
        engines: Engines | None,
    ) -> Ended:
        engines = engines or await self._engines()
        deployment = await self._deployments.resolve(principal, agent_id, opening.environment)
        agent = (await self._deployments.prepared(deployment.tree)).agent
        id_ = opening.id or f"LOCAL-{self._random.uuid()}"
        opening = replace(opening, id=id_, channel=CHANNEL, is_recorded=self._is_recording)
        account_id = deployment.account_id

        def changed(conversation: Conversation) -> None:
            recorder.settle()
            if conversation.turns == 1:
                self._beside(self._watch_over(conversation))

        conducting = Conducting(self._chats, principal, agent, opening, apology=self._apology, changed=changed)
        if self._speaker is not None:
            engines = replace(engines, synthesizer=self._speaker(engines.synthesizer, account_id, agent_id, id_))
        recorder = _Recorder(self._recordings, conducting)
        call = Call(conducting, line, engines, recorder, pace)
        live = _Live(call, conducting, self._mark)
        async with self._claims.hold(CALL, account_id, agent_id, id_):
            self._live.add(live)
            try:
                reason = await call.run()
            finally:
                # Whatever ended this, the sound that there is is kept, and nobody waits for the disk.
                keeping = self._beside(self._over(conducting, recorder))
                keeping.add_done_callback(lambda _: self._ended(live))
                await asyncio.shield(keeping)
        return Ended(reason=reason, seconds=call.seconds, conversation=conducting.conversation)

    def _beside(self, doing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Done whatever becomes of the call; waited for when the server stops."""
        task = asyncio.ensure_future(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Calls whose process has died.

    async def _watch_over(self, conversation: Conversation) -> None:
        due = self._clock.now() + WATCH_AFTER
        try:
            await self._store.add_work([Work(kind=WATCH_CALL, key="", subject=conversation.subject, due_at=due)])
        except VivavoceError as error:  # it ends as idle, should this process die
            log.warning("nobody watches over a call: %s", error.code)

    async def watch(self, work: Work) -> datetime | None:
        """Background work of any process: ends the conversation of a call whose process lives no longer."""
        assert work.subject is not None
        name = msgspec.structs.astuple(work.subject)
        conversation = await self._store.get(*name)
        if conversation is None or conversation.is_ended:
            return None
        now = self._clock.now()
        if not await self._claims.is_free(CALL, *name):
            again = replace(work, due_at=now + WATCH_AFTER, payload={}, attempts=0)
        elif "free_since" not in work.payload:  # a database that had to start again has forgotten it for a moment
            due = now + timedelta(seconds=2 * self._claims.lease)
            again = replace(work, due_at=due, payload={"free_since": now.isoformat()}, attempts=0)
        else:
            log.warning("a call has lost its process")
            await self._end_lost(conversation)
            return None
        await self._store.add_work([again])
        return None

    async def _end_lost(self, conversation: Conversation) -> None:
        principal = Principal(key_id="system", name="system", account_id=conversation.account_id)
        await self._chats.end(principal, conversation.agent_id, conversation.id, "lost")

    def _ended(self, live: _Live) -> None:
        self._live.discard(live)
        live.is_over.set()

    async def drop(self, conversation: Conversation) -> None:
        """Ends the call of a conversation that is being erased, at any process, and returns when nothing of it goes on."""
        mark = self._mark(conversation.subject)
        self._stop(mark)
        try:
            async with asyncio.timeout(DROP_SECONDS):
                for live in [live for live in self._live if live.is_of(mark)]:
                    await live.is_over.wait()
                if not conversation.is_ended:
                    await self._news.tell("calls", mark)
                    async with self._claims.hold(CALL, *msgspec.structs.astuple(conversation.subject)):
                        pass
        except (TimeoutError, ConversationBusy):
            raise ConversationBusy(
                "The conversation is on a call that does not end; try again shortly.",
                retry_after=RETRY_AFTER_SECONDS,
            ) from None

    def _stop(self, mark: str) -> None:
        for live in [live for live in self._live if live.is_of(mark)]:
            live.call.stop()

    def _drop_told(self, names: tuple[str, ...] | None) -> None:
        """Another process erases a conversation that may be on a call here."""
        if names is not None:
            self._stop(names[0])

    async def drain(self, seconds: float) -> None:
        """No more calls begin; returns when none goes on, or after that time."""
        self._is_draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for live in list(self._live):
                    await live.is_over.wait()

    async def _over(self, conducting: Conducting, recorder: _Recorder) -> None:
        """Ends what has not ended, and keeps or discards the recording."""
        conversation, spool = conducting.conversation, recorder.spool
        if conversation is None:
            return
        try:
            await conducting.end("failed")  # does nothing when it has ended already
        except VivavoceError as error:
            log.warning("the end of a call could not be recorded: %s", error.code)
        if spool is None:
            return
        try:
            await spool.close()
            if spool.error is not None:
                log.error("a recording is not whole: the disk failed with %s", type(spool.error).__name__)
            await self._recordings.keep(conversation, spool.path, is_whole=spool.error is None)
        except (VivavoceError, OSError) as error:
            log.warning("a recording waits on disk until it can be stored: %s", type(error).__name__)
            await self._store_later(conversation, is_whole=spool.error is None)

    async def _store_later(self, conversation: Conversation, *, is_whole: bool) -> None:
        try:
            await self._recordings.store_later(conversation, is_whole=is_whole)
        except VivavoceError as error:  # the next start finds it
            log.error("a recording stays on disk until the next start: %s", error.code)

    async def recover(self) -> None:
        """After a crash: what was recorded of the calls that it cut is kept, and they have ended."""
        for conversation in await self._recordings.recover():
            if not conversation.is_ended:
                try:
                    await self._end_lost(conversation)
                except VivavoceError as error:
                    log.warning("a call that a crash cut could not be ended: %s", error.code)

    async def close(self) -> None:
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)


class _Live:
    """A call that goes on."""

    def __init__(self, call: Call, conducting: Conducting, mark: Callable[[Subject], str]) -> None:
        self.call = call
        self._mark = mark
        self._conducting = conducting
        self.is_over = asyncio.Event()

    def is_of(self, mark: str) -> bool:
        own = self._conducting.conversation
        return own is not None and self._mark(own.subject) == mark


class _Recorder:
    """Begins when the conversation is there, with the silence of its beginning; forgets what author code discards."""

    def __init__(self, recordings: CallRecordings, conducting: Conducting) -> None:
        self._recordings = recordings
        self._conducting = conducting
        self._before: list[tuple[bytes, bytes]] = []
        self.spool: SpoolFile | None = None
        self._is_off = False

    def settle(self) -> None:
        conversation = self._conducting.conversation
        assert conversation is not None
        if not conversation.is_recorded:
            self._is_off = True
            self._before.clear()
        elif self.spool is None:
            try:
                self.spool = self._recordings.begin(conversation)
            except OSError as error:
                log.error("a call cannot be recorded: %s", type(error).__name__)
                self._is_off = True
                return
            for caller, agent in self._before:
                self.spool.write(caller, agent)
            self._before.clear()

    def write(self, caller: bytes, agent: bytes) -> None:
        if self._is_off:
            return
        if self.spool is None:
            self._before.append((caller, agent))
        else:
            self.spool.write(caller, agent)
