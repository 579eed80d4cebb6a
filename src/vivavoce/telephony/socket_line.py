"""A call over a WebSocket, whatever the dialect: one task reads, one writes, the call itself never waits for either."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from vivavoce.telephony.dialect import (
    Complained,
    Control,
    Dialect,
    Heard,
    Malformed,
    Message,
    Pressed,
    Reached,
    Started,
    Stopped,
)
from vivavoce.voice.conduct import Transfer
from vivavoce.voice.line import Arrivals, Arrived

log = logging.getLogger(__name__)
MOST_WAITING = 250  # messages that the other side has not taken: 5 s of sound, then it is gone
MOST_MALFORMED = 50  # messages, before the line is taken for broken
MOST_KEYS = 100  # that wait
START_SECONDS = 10.0
SERVER_STOPS = 1012  # close code
MOST_A_SECOND = 1_000  # messages: twenty times what a call needs, so that a burst after a stall is none
MOST_FLOODED = 100_000  # that are thrown away, before the line is ended


class SocketLine:
    """`run` it beside the call; `begun` is there when the carrier has said which call it is."""

    def __init__(self, socket: WebSocket, dialect: Dialect, control: Control) -> None:
        self._socket = socket
        self._dialect = dialect
        self._control = control
        self._arrivals = Arrivals()
        self._keys = ""
        self._out: asyncio.Queue[Message] = asyncio.Queue(MOST_WAITING)
        self._marks = 0
        self._reached = asyncio.Event()
        self._is_gone = self._is_lost = False
        self._malformed = 0
        self._begun = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.call = ""

    async def __aenter__(self) -> SocketLine:
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()

    async def begun(self) -> str:
        """The carrier's id of the call. Raises TimeoutError when it does not begin to speak."""
        async with asyncio.timeout(START_SECONDS):
            await self._begun.wait()
        if self._is_gone:
            raise TimeoutError
        return self.call

    async def _read(self) -> None:
        before, room, flooded = monotonic(), float(MOST_A_SECOND), 0
        try:
            while not self._is_gone:
                message = await self._socket.receive()
                now = monotonic()
                before, room = now, min(MOST_A_SECOND, room + (now - before) * MOST_A_SECOND)
                if room >= 1:
                    room -= 1
                elif message["type"] == "websocket.receive":
                    self._arrivals.problems.add("flood")
                    flooded += 1
                    if flooded > MOST_FLOODED:
                        break
                    await asyncio.sleep(0)  # others are not kept waiting for what is thrown away
                    continue
                if message["type"] == "websocket.disconnect":
                    self._is_lost = message.get("code") == SERVER_STOPS
                    break
                data = message.get("text") if message.get("text") is not None else message.get("bytes")
                if data is not None:
                    self._take(data)
        except (WebSocketDisconnect, RuntimeError):
            pass  # it has gone: what follows is the same
        self._leave()

    def _take(self, message: Message) -> None:
        try:
            event = self._dialect.read(message)
        except (Malformed, RecursionError):
            self._malformed += 1
            self._arrivals.problems.add("malformed_message")
            if self._malformed >= MOST_MALFORMED:
                self._leave()
            return
        match event:
            case Started() if not self._begun.is_set():
                self.call = event.call
                self._begun.set()
            case Heard():
                self._arrivals.put(event.sound, event.number)
            case Pressed():
                self._keys = (self._keys + event.key)[-MOST_KEYS:]
            case Reached():
                if event.mark == str(self._marks):
                    self._reached.set()
            case Complained():
                self._arrivals.problems.add("carrier_error")
            case Stopped():
                self._leave()
            case _:
                pass

    async def _write(self) -> None:
        try:
            while True:
                message = await self._out.get()
                if isinstance(message, str):
                    await self._socket.send_text(message)
                else:
                    await self._socket.send_bytes(message)
        except (WebSocketDisconnect, RuntimeError, OSError):
            self._leave()

    def _leave(self) -> None:
        """Nobody is there any more, and nobody is waited for."""
        self._is_gone = True
        self._begun.set()
        self._reached.set()

    def _put(self, message: Message | None) -> None:
        if message is None or self._is_gone:
            return
        try:
            self._out.put_nowait(message)
        except asyncio.QueueFull:  # half open: it takes nothing any more
            self._arrivals.problems.add("line_blocked")
            self._leave()

    # The call's side.

    def take(self) -> Arrived:
        keys, self._keys = self._keys, ""
        return self._arrivals.arrived(keys, is_gone=self._is_gone, is_lost=self._is_lost)

    def send(self, frame: bytes) -> None:
        self._put(self._dialect.sound(frame))

    def clear(self) -> None:
        self._put(self._dialect.clear())

    async def played(self) -> None:
        if not self._dialect.has_marks or self._is_gone:
            await asyncio.sleep(0.2)  # what is on its way
            return
        self._marks += 1
        self._reached.clear()
        self._put(self._dialect.mark(str(self._marks)))
        await self._reached.wait()

    async def transfer(self, transfer: Transfer) -> bool:
        self.tell({"type": "transfer", "destination": transfer.destination, "number": transfer.number})
        return await self._control.transfer(self.call, transfer)

    async def hang_up(self) -> None:
        self.tell({"type": "end"})
        await self._control.hang_up(self.call)

    def tell(self, event: dict[str, Any]) -> None:
        self._put(self._dialect.told(event))

    async def _close(self) -> None:
        """With what was still to be written, as long as that is quick."""
        try:
            async with asyncio.timeout(1.0):
                while not self._out.empty():
                    message = self._out.get_nowait()
                    if isinstance(message, str):
                        await self._socket.send_text(message)
                await self._socket.close()
        except (TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            pass  # it was closed already
