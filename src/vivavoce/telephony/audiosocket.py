"""Asterisk's AudioSocket: a call as frames over TCP, begun with a UUID. What follows our hanging up is its dialplan's affair.

https://docs.asterisk.org/Configuration/Channel-Drivers/AudioSocket/
"""

from __future__ import annotations

import asyncio
import logging
import struct
from enum import IntEnum
from uuid import UUID

from vivavoce.audio import pcm
from vivavoce.audio.resampling import Resampler
from vivavoce.domain.principal import Principal
from vivavoce.errors import Unauthenticated, UsageError, VivavoceError
from vivavoce.service.calls import Calls
from vivavoce.service.chats import Opening
from vivavoce.service.deployments import Deployments
from vivavoce.service.keys import OPERATOR
from vivavoce.telephony.queued_line import QueuedLine
from vivavoce.voice.conduct import Transfer

log = logging.getLogger(__name__)
NAME = "audiosocket"
MOST_LINES = 1_000  # that are open at once
MOST_BYTES = 16_384  # of a frame
SHUTDOWN_SECONDS = 35.0  # for calls to end; a turn that waits for its model may take as long
ON_ITS_WAY_SECONDS = 0.2  # what was sent last, until it is heard
MOST_UNSENT_BYTES = 8_192  # that the system holds before we do: what it holds cannot be taken back
RATES = {
    **{0x10: 8_000, 0x11: 12_000, 0x12: 16_000, 0x13: 24_000, 0x14: 32_000},
    **{0x15: 44_100, 0x16: 48_000, 0x17: 96_000, 0x18: 192_000},
}
_HEADER = struct.Struct(">BH")


class Kind(IntEnum):
    """Of a frame; those of RATES are sound."""

    HANG_UP = 0x00
    ID = 0x01
    KEY = 0x03
    ERROR = 0xFF


class AudioSocketServer:
    """A UUID is an invitation's token, or else the id of a new conversation with `agent`, which is AGENT/ENVIRONMENT."""

    def __init__(self, calls: Calls, deployments: Deployments, agent: str | None, host: str, port: int) -> None:
        self._calls = calls
        self._deployments = deployments
        self._agent = _agent(agent) if agent is not None else None
        self._host = host
        self.port = port  # 0: any that is free, which `start` puts here
        self._server: asyncio.Server | None = None
        self._lines: dict[AudioSocketLine, asyncio.Task[None]] = {}

    async def start(self) -> None:
        try:
            self._server = await asyncio.start_server(self._connected, self._host, self.port)
        except OSError as error:
            raise UsageError(
                f"VIVAVOCE_AUDIOSOCKET is {self._host}:{self.port}, where this machine cannot listen: {error.strerror}."
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Lets nobody in any more, and ends the calls that go on, as when their callers hang up."""
        if self._server is not None:
            self._server.close()
        for line in self._lines:
            line.leave()
        if self._lines:
            _, late = await asyncio.wait(self._lines.values(), timeout=SHUTDOWN_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._lines) >= MOST_LINES:
            writer.close()
            return
        line = AudioSocketLine(reader, writer)
        task = asyncio.create_task(self._answer(line))
        self._lines[line] = task
        task.add_done_callback(lambda _: self._over(line, task))

    def _over(self, line: AudioSocketLine, task: asyncio.Task[None]) -> None:
        del self._lines[line]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a call by AudioSocket failed: %s", type(error).__name__)

    async def _answer(self, line: AudioSocketLine) -> None:
        async with line:
            try:
                id_ = await line.begun()
            except TimeoutError:
                log.warning("a line opened and said nothing")
                return
            if not id_:
                return
            try:
                principal, agent_id, opening = await self._expected(id_)
                await self._calls.hold(principal, agent_id, opening, line)
            except Unauthenticated:
                log.warning(
                    "a call came in by AudioSocket that nobody expects; VIVAVOCE_AUDIOSOCKET_AGENT would take it"
                )
                await line.hang_up()
            except VivavoceError as error:
                log.warning("a call could not be held: %s", error.code)
                await line.hang_up()

    async def _expected(self, id: str) -> tuple[Principal, str, Opening]:
        token = id
        try:
            expected = await self._calls.accept(token)
        except Unauthenticated:
            if self._agent is None:
                raise
            token = await self._invited(*self._agent, id)
            expected = await self._calls.accept(token)
        return expected.principal, expected.agent_id, expected.opening

    async def _invited(self, agent_id: str, environment: str, id: str) -> str:
        account_id = await self._deployments.account_of(OPERATOR, agent_id)
        principal = Principal(
            key_id=NAME,
            name=NAME,
            account_id=account_id,
            permissions=frozenset(("chat",)),
            agents=frozenset((agent_id,)),
        )
        opening = Opening(environment=environment, id=id)
        return (await self._calls.invite(principal, agent_id, opening)).token


def _agent(text: str) -> tuple[str, str]:
    agent_id, _, environment = text.partition("/")
    if not agent_id or not environment:
        raise UsageError(f"VIVAVOCE_AUDIOSOCKET_AGENT is {text!r}; it should be AGENT/ENVIRONMENT, such as hotel/live.")
    return agent_id, environment


class AudioSocketLine(QueuedLine[bytes]):
    """It is answered in the rate that comes in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self._reader = reader
        self._writer = writer
        self._writer.transport.set_write_buffer_limits(high=MOST_UNSENT_BYTES)
        self._unsent = b""  # less than a frame
        self._kind = 0
        self._speak_as(0x10)

    def _speak_as(self, kind: int) -> None:
        if kind != self._kind:
            self._kind = kind
            self._heard = Resampler(RATES[kind], pcm.RATE)
            self._said = Resampler(pcm.RATE, RATES[kind])
            self._unsent = b""

    async def _read(self) -> None:
        try:
            while not self._is_gone:
                kind, length = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
                payload = await self._reader.readexactly(length)
                if length <= MOST_BYTES:  # what is longer is no 20 ms of anything
                    self._take(kind, payload)
                await asyncio.sleep(0)  # what has been read ahead would keep everybody else waiting
        except (asyncio.IncompleteReadError, OSError):
            pass  # it has gone: what follows is the same
        self.leave()

    def _take(self, kind: int, payload: bytes) -> None:
        match kind:
            case _ if kind in RATES:
                if not self._begun.is_set():  # nobody is listened to who has not said which call it is
                    return
                self._speak_as(kind)
                self._arrivals.put(self._heard.feed(payload[: len(payload) // 2 * 2]))
            case Kind.HANG_UP:
                self._is_gone = True
            case Kind.ID if len(payload) == 16:
                self.call = self.call or str(UUID(bytes=payload))
                self._begun.set()
            case Kind.KEY if len(payload) == 1 and payload.isascii():
                self._press(payload.decode())
            case Kind.ID | Kind.KEY:
                self._count_malformed()
            case Kind.ERROR:
                self._arrivals.problems.add("carrier_error")
            case _:
                pass

    async def _write(self) -> None:
        try:
            while True:
                self._writer.write(await self._out.get())
                await self._writer.drain()
        except OSError:
            self._is_gone = True

    def _say(self, kind: int, payload: bytes) -> None:
        # Asterisk reads a header in one go: a message is written as one.
        self._put(_HEADER.pack(kind, len(payload)) + payload)

    # The call's side.

    def send(self, frame: bytes) -> None:
        self._speak(self._said.feed(frame))

    def _speak(self, sound: bytes) -> None:
        """In frames of 20 ms, which is how they are played."""
        size = RATES[self._kind] // 50 * 2
        self._unsent += sound
        while len(self._unsent) >= size:
            self._say(self._kind, self._unsent[:size])
            self._unsent = self._unsent[size:]

    def clear(self) -> None:
        """Asterisk keeps nothing back: what it has got is being heard."""
        while not self._out.empty():
            self._out.get_nowait()
        self._unsent = b""
        self._said = Resampler(pcm.RATE, RATES[self._kind])

    async def played(self) -> None:
        rest = self._said.flush()
        self._said = Resampler(pcm.RATE, RATES[self._kind])
        self._speak(rest + bytes(RATES[self._kind] // 50 * 2))  # with silence, so that the last frame is whole
        while not self._out.empty() and not self._is_gone:  # noqa: ASYNC110  # the queue has no event for it
            await asyncio.sleep(pcm.FRAME_SECONDS)
        await asyncio.sleep(ON_ITS_WAY_SECONDS)

    async def transfer(self, transfer: Transfer) -> bool:
        """Nothing in AudioSocket passes a call on: the dialplan goes on behind AudioSocket() and decides."""
        return False

    async def hang_up(self) -> None:
        self._say(Kind.HANG_UP, b"")

    def tell(self, event: dict[str, object]) -> None: ...

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(1.0):
                while not self._out.empty():
                    self._writer.write(self._out.get_nowait())
                self._writer.close()
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self._writer.transport.abort()
