"""Calls: who may place one, on which line it comes in, and what remains of it. The conversation itself is a chat by voice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.conversation import Conversation, EndReason
from vivavoce.domain.ids import is_conversation_id
from vivavoce.domain.principal import Principal
from vivavoce.engine.tools import is_plain
from vivavoce.errors import ConversationBusy, ConversationExists, Invalid, Unauthenticated, Unavailable, VivavoceError
from vivavoce.recordings.spool import SpoolFile
from vivavoce.service.access import require
from vivavoce.service.chats import Chats, Opening
from vivavoce.service.conducting import Conducting
from vivavoce.service.deployments import Deployments
from vivavoce.service.recordings import CallRecordings
from vivavoce.speech.interface import Synthesizer
from vivavoce.store.interface import Store
from vivavoce.voice.call import Call, Engines
from vivavoce.voice.line import Line
from vivavoce.voice.pace import Pace, RealTime

log = logging.getLogger(__name__)
CHANNEL = "sip.polyai"
TOKEN_LIFE = timedelta(seconds=60)
OPEN_DOOR = "calls"  # for lines that are no carrier's
MOST_TOKENS = 2_000  # that wait to be used
MOST_TOKENS_OF_A_KEY = 200
MOST_OPENING_BYTES = 32 << 10  # of what a caller may say about a call
RETRY_AFTER_SECONDS = 10.0
DROP_SECONDS = 40.0  # for a call to end; a turn that runs is waited for


class TooManyCalls(Unavailable):
    code = "CALLS_LIMIT_REACHED"


class Invitation(Struct, frozen=True, kw_only=True):
    """What a line shows to be let in, once."""

    token: str
    conversation_id: str
    seconds: float


class _Expected(Struct, frozen=True):
    principal: Principal
    agent_id: str
    opening: Opening
    until: datetime
    door: str
    is_told: bool  # what was said, while it is said


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
        *,
        apology: str,
        most: int,
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
        self._apology = apology
        self._most = most
        self._is_recording = is_recording
        self._expected: dict[str, _Expected] = {}
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
        _check(opening)
        await self._engines()
        now = self._clock.now()
        self._expected = {token: e for token, e in self._expected.items() if e.until > now}
        own = sum(e.principal.key_id == principal.key_id for e in self._expected.values())
        if len(self._expected) >= MOST_TOKENS or own >= MOST_TOKENS_OF_A_KEY:
            raise TooManyCalls("Too many calls wait to begin; try again shortly.", retry_after=RETRY_AFTER_SECONDS)
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
        # One for a conversation: a webhook that is sent again makes the socket before worthless.
        for known in [t for t, e in self._expected.items() if (e.agent_id, e.opening.id) == (agent_id, opening.id)]:
            del self._expected[known]
        token = self._random.uuid()
        self._expected[token] = _Expected(principal, agent_id, opening, now + TOKEN_LIFE, door, is_told)
        assert opening.id is not None
        return Invitation(token=token, conversation_id=opening.id, seconds=TOKEN_LIFE.total_seconds())

    def accept(self, token: str, door: str = OPEN_DOOR) -> _Expected:
        """Takes a token in; it is not worth anything any more. Raises Unauthenticated."""
        expected = self._expected.pop(token, None)
        if expected is None or expected.door != door or expected.until <= self._clock.now():
            raise Unauthenticated("The call's token is not valid, or was used before; ask for a new one.")
        return expected

    def _check_room(self) -> None:
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
        conducting = Conducting(
            self._chats, principal, agent, opening, apology=self._apology, changed=lambda _: recorder.settle()
        )
        if self._speaker is not None:
            account_id = deployment.account_id
            engines = replace(engines, synthesizer=self._speaker(engines.synthesizer, account_id, agent_id, id_))
        recorder = _Recorder(self._recordings, conducting)
        call = Call(conducting, line, engines, recorder, pace)
        self._live.add(live := _Live(call, conducting))
        try:
            reason = await call.run()
        finally:
            # Whatever ended this, the sound that there is is kept, and nobody waits for the disk.
            keeping = asyncio.ensure_future(self._over(conducting, recorder))
            self._tasks.add(keeping)
            keeping.add_done_callback(self._tasks.discard)
            keeping.add_done_callback(lambda _: self._ended(live))
            await asyncio.shield(keeping)
        return Ended(reason=reason, seconds=call.seconds, conversation=conducting.conversation)

    def _ended(self, live: _Live) -> None:
        self._live.discard(live)
        live.is_over.set()

    async def drop(self, conversation: Conversation) -> None:
        """Ends the call of a conversation that is being erased, and returns when nothing of it goes on."""
        for live in [live for live in self._live if live.is_of(conversation)]:
            live.call.stop()
            try:
                async with asyncio.timeout(DROP_SECONDS):
                    await live.is_over.wait()
            except TimeoutError:
                raise ConversationBusy(
                    "The conversation is on a call that does not end; try again shortly.",
                    retry_after=RETRY_AFTER_SECONDS,
                ) from None

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
                principal = Principal(key_id="system", name="system", account_id=conversation.account_id)
                try:
                    await self._chats.end(principal, conversation.agent_id, conversation.id, "lost")
                except VivavoceError as error:
                    log.warning("a call that a crash cut could not be ended: %s", error.code)

    async def close(self) -> None:
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)


def _check(opening: Opening) -> None:
    """What waits in memory for a minute has to be small, and what a conversation takes."""
    if not is_plain(opening.integration_attributes):
        raise Invalid("integrationAttributes may be nested 32 levels deep, with whole numbers of at most 64 bits.")
    if len(msgspec.json.encode(opening)) > MOST_OPENING_BYTES:
        raise Invalid(f"A call may be opened with {MOST_OPENING_BYTES >> 10} KiB of attributes and headers.")


class _Live:
    """A call that goes on."""

    def __init__(self, call: Call, conducting: Conducting) -> None:
        self.call = call
        self._conducting = conducting
        self.is_over = asyncio.Event()

    def is_of(self, conversation: Conversation) -> bool:
        own = self._conducting.conversation
        return own is not None and own.subject == conversation.subject


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
