"""A call over a WebSocket, whatever the dialect."""

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
from vivavoce.telephony.queued_line import QueuedLine
from vivavoce.voice.conduct import Transfer

log = logging.getLogger(__name__)
SERVER_STOPS = 1012  # close code
MOST_A_SECOND = 1_000  # messages: twenty times what a call needs, so that a burst after a stall is none
MOST_FLOODED = 100_000  # that are thrown away, before the line is ended


class SocketLine(QueuedLine[Message]):
    def __init__(self, socket: WebSocket, dialect: Dialect, control: Control, *, is_told: bool = True) -> None:
        """`is_told` False keeps what was said to itself: it is only heard."""
        super().__init__()
        self._is_told = is_told
        self._socket = socket
        self._dialect = dialect
        self._control = control
        self._marks = 0
        self._reached = asyncio.Event()

    async def begun(self) -> str:
        """Raises TimeoutError also when the other side has gone already: its carrier tells nobody of that."""
        call = await super().begun()
        if self._is_gone:
            raise TimeoutError
        return call

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
        self.leave()

    def _take(self, message: Message) -> None:
        try:
            event = self._dialect.read(message)
        except (Malformed, RecursionError):
            self._count_malformed()
            return
        match event:
            case Started() if not self._begun.is_set():
                self.call = event.call
                self._begun.set()
            case Heard():
                self._arrivals.put(event.sound, event.number)
            case Pressed():
                self._press(event.key)
            case Reached():
                if event.mark == str(self._marks):
                    self._reached.set()
            case Complained():
                self._arrivals.problems.add("carrier_error")
            case Stopped():
                self.leave()
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
            self.leave()

    def leave(self) -> None:
        super().leave()
        self._reached.set()

    def _say(self, message: Message | None) -> None:
        """None is nothing in this dialect, or nothing yet."""
        if message is not None:
            self._put(message)

    # The call's side.

    def send(self, frame: bytes) -> None:
        self._say(self._dialect.sound(frame))

    def clear(self) -> None:
        self._say(self._dialect.clear())

    async def played(self) -> None:
        if not self._dialect.has_marks or self._is_gone:
            await asyncio.sleep(0.2)  # what is on its way
            return
        self._marks += 1
        self._reached.clear()
        self._say(self._dialect.mark(str(self._marks)))
        await self._reached.wait()

    async def transfer(self, transfer: Transfer) -> bool:
        self.tell({"type": "transfer", "destination": transfer.destination, "number": transfer.number})
        return await self._control.transfer(self.call, transfer)

    async def hang_up(self) -> None:
        self.tell({"type": "end"})
        await self._control.hang_up(self.call)

    def tell(self, event: dict[str, Any]) -> None:
        if self._is_told or event["type"] not in ("transcript", "interrupted"):
            self._say(self._dialect.told(event))

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(1.0):
                while not self._out.empty():
                    message = self._out.get_nowait()
                    if isinstance(message, str):
                        await self._socket.send_text(message)
                await self._socket.close()
        except (TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            pass  # it was closed already
