"""The server's connection to one worker: a call goes out, its asks are answered side by side, one outcome comes back."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, Protocol

import msgspec

from vivavoce.domain.agent import Function
from vivavoce.domain.surroundings import Surroundings
from vivavoce.errors import VivavoceError
from vivavoce.functions import frames
from vivavoce.functions.interface import Answer, Ask, Outcome, View

log = logging.getLogger(__name__)

MOST_ASKS = 200  # call-backs of one function call
MAX_ANSWER_BYTES = 24 << 20  # a state of 8 MiB, its view, and what was returned
MAX_ASK_BYTES = 1 << 20
MOST_ASKS_AT_ALL = 10 * MOST_ASKS  # of a process between two calls, before it is taken for gone wild
MOST_UNREAD_BYTES = 4 << 20  # of answers that it does not take
MAX_VIEW_BYTES = 12 << 20
MAX_PLAIN_BYTES = 2 << 20  # of an answer besides state: becoming objects, it grows fiftyfold, on the event loop
MOST_STATE_KEYS = 20_000  # that change in one call
MOST_STATE_PARTS = 250_000  # elements and members of what changes
MOST_CHECKED_BYTES = 1 << 18  # of one value of the state: of a larger one only the form is looked at
_MAYBE_TOO_LARGE_A_NUMBER = re.compile(rb"\d[eE]\+?\d{3}")


class Killer(Protocol):
    """Whoever has made the worker, and can end it."""

    def kill(self, number: int) -> None: ...


class WorkerDied(Exception):
    def __init__(self, reason: str, *, had_begun: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.had_begun = had_begun


class Worker(asyncio.Protocol):
    """The connection to one worker. One call at a time; its asks are answered as they come, side by side."""

    def __init__(self, zygote: Killer, number: int) -> None:
        self.zygote = zygote
        self._number = number
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._outcome: asyncio.Future[Outcome] | None = None
        self._answer: Answer | None = None
        self._asks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._is_open = False
        self._asked = 0
        self._known_history = 0
        self._known_metrics = 0
        self._known_state: bytes | None = None
        self._known_surroundings = Surroundings()

    # What the worker holds in its memory must be what the record holds.

    def serves(self, view: View) -> bool:
        return (
            not self._is_closed
            and self._is_open
            and self._known_state == view.state
            and self._known_history <= len(view.history)
            and self._known_metrics <= len(view.metrics)
        )

    @property
    def is_busy(self) -> bool:
        return self._outcome is not None

    async def call(
        self, function: Function, arguments: dict[str, Any], view: View, answer: Answer, timeout: float
    ) -> Outcome:
        if self._is_closed or self._transport is None:
            raise WorkerDied("The function's process had ended.", had_begun=False)
        try:
            body = frames.encode(self._frame(function, arguments, view))
        except (OverflowError, ValueError, TypeError, RecursionError) as error:
            return Outcome(error=f"The call cannot be passed on: {error}.")
        loop = asyncio.get_running_loop()
        self._outcome = outcome = loop.create_future()
        self._answer = answer
        self._asked = 0
        self._transport.write(frames.LENGTH.pack(len(body)) + body)
        timer = loop.call_later(timeout, self._expire, timeout)
        try:
            found: Outcome = await outcome
        finally:
            timer.cancel()
            self._outcome = self._answer = None
            for task in self._asks:
                task.cancel()
        self._is_open = True
        self._known_surroundings = view.surroundings
        self._known_history = len(view.history)
        self._known_metrics = len(view.metrics) + len(found.metrics)
        self._known_state = found.state if found.state is not None else view.state
        return found

    def _frame(self, function: Function, arguments: dict[str, Any], view: View) -> dict[str, Any]:
        conversation = view.conversation
        history = view.history[self._known_history :] if self._is_open else view.history
        metrics = view.metrics[self._known_metrics :] if self._is_open else view.metrics
        frame: dict[str, Any] = {
            "t": "call",
            "module": function.module,
            "name": function.name,
            "flow": function.flow if function.kind in ("flow", "step") else None,
            "arguments": arguments,
            "now": view.now.timestamp(),
            "patch": {
                "flow": view.place.flow,
                "step": view.place.step,
                "language": view.language,
                "variant": view.variant,
                "alternatives": view.alternatives,
                "history": [(u.role, u.text) for u in history],
                "metrics": metrics,
                "entities": {name: [c.type, c.value, c.parts] for name, c in view.entities.items()},
                "unsynced": view.unsynced,
                "zone": view.zone,
                "key": view.key,
            },
        }
        around, known = view.surroundings, self._known_surroundings
        if around.configuration is not known.configuration:
            frame["patch"]["configuration"] = around.configuration
        if around.memory is not known.memory and around.memory is not None:
            frame["patch"]["memory"] = around.memory.values
        if around.events is not known.events:
            frame["patch"]["events"] = [(e.id, e.data, e.at.isoformat()) for e in around.events]
        if not self._is_open:
            frame["open"] = {
                "id": conversation.id,
                "account_id": conversation.account_id,
                "project_id": conversation.agent_id,
                "env": conversation.environment,
                "channel": conversation.channel,
                "sip_headers": conversation.sip_headers,
                "integration_attributes": conversation.integration_attributes,
                "caller": conversation.from_number,
                "callee": conversation.to_number,
                "language": view.language,
                "state": view.state,
            }
        return frame

    def _expire(self, timeout: float) -> None:
        self._fail(f"The function took more than {timeout:g} s and was stopped.")
        self.close()

    def _fail(self, reason: str) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(WorkerDied(reason, had_begun=True))

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self.zygote.kill(self._number)
            if self._transport is not None:
                self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > MAX_ANSWER_BYTES:
                self._fail("The function's answer was too large.")
                self.close()
                return
            if len(self._buffer) < 4 + length:
                return
            body = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            try:
                self._received(body)
            except (msgspec.MsgspecError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
                self._fail(f"The function's process answered with nonsense ({type(error).__name__}).")
                self.close()
                return

    def _received(self, body: bytes) -> None:
        kind = _decode_kind(body).t
        if kind == "done":
            if self._outcome is not None and not self._outcome.done():
                if _is_too_much(_decode_sizes(body)):
                    self._fail(
                        f"The function's answer was too large: besides its state it may have {MAX_PLAIN_BYTES >> 20} MiB,"
                        f" and of the state {MOST_STATE_PARTS:,} parts may change in one call."
                    )
                    self.close()
                    return
                outcome = _decode_outcome(body)
                _check(outcome)
                self._outcome.set_result(outcome)
        elif kind == "ask":
            self._asked += 1
            transport = self._transport
            if (
                len(body) > MAX_ASK_BYTES
                or self._asked > MOST_ASKS_AT_ALL
                or (transport is not None and transport.get_write_buffer_size() > MOST_UNREAD_BYTES)
            ):
                self._fail("The function asked for too much.")
                self.close()
                return
            ask = _decode_ask(body)
            task = asyncio.get_running_loop().create_task(self._respond(ask))
            self._asks.add(task)
            task.add_done_callback(self._asks.discard)
        else:
            raise ValueError(f"a frame of kind {kind[:20]!r}")

    async def _respond(self, ask: AskFrame) -> None:
        reply: dict[str, Any] = {"t": "answer", "n": ask.n}
        if self._answer is None:
            reply["error"] = "no call is running"
        elif self._asked > MOST_ASKS:
            reply["error"] = f"a function may ask at most {MOST_ASKS} times in one call"
        else:
            try:
                reply["value"] = await self._answer(Ask(kind=ask.kind, body=ask.body))
            except VivavoceError as error:
                reply["error"], reply["code"] = error.message, error.code
            except Exception as error:  # noqa: BLE001  # a call-back that stumbles is an error of the call, at once
                log.error("a call-back of author code failed: kind=%s error=%s", ask.kind, type(error).__name__)
                reply["error"], reply["code"] = (
                    f"{ask.kind} failed on the server ({type(error).__name__}).",
                    "INTERNAL_ERROR",
                )
        try:
            body = frames.encode(reply)
        except (OverflowError, ValueError, TypeError, RecursionError) as error:
            body = frames.encode({"t": "answer", "n": ask.n, "error": f"the answer cannot be passed on: {error}"})
        if self._transport is not None and not self._is_closed:
            self._transport.write(frames.LENGTH.pack(len(body)) + body)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("The function's process ended before it answered.")
        self.close()


def _is_too_much(parts: _Sizes) -> bool:
    plain = (parts.returned, parts.queued, parts.metrics, parts.logs, parts.messages, parts.removed, parts.warnings)
    view = bytes(parts.view)
    parts_of_state = view.count(b",") + view.count(b"[") + view.count(b"{")
    return (
        sum(map(len, plain)) > MAX_PLAIN_BYTES
        or len(view) > MAX_VIEW_BYTES
        or _count(view) > MOST_STATE_KEYS
        or parts_of_state > MOST_STATE_PARTS
    )


def _count(body: bytes) -> int:
    """Of the pairs of a MessagePack map, from its head."""
    match body[:1]:
        case b"":
            return 0
        case b"\xde":
            return int.from_bytes(body[1:3], "big")
        case b"\xdf":
            return int.from_bytes(body[1:5], "big")
        case _:
            return body[0] & 0x0F


def _no_extension(code: int, data: memoryview) -> Any:
    raise ValueError(f"extension {code}")


def _check(outcome: Outcome) -> None:
    """A worker may send anything: what cannot be written as JSON must not get as far as the record."""
    for value in outcome.view.values():
        if len(value) <= MOST_CHECKED_BYTES or _MAYBE_TOO_LARGE_A_NUMBER.search(value):
            msgspec.json.decode(value)
        else:
            value.decode()  # raises for what is no UTF-8
            _check_form(value)
    queued = outcome.queued
    parts = (outcome.returned, queued.handoff, queued.voice, queued.asr_biasing, outcome.metrics, outcome.messages)
    if any(parts):
        msgspec.json.encode(parts)
    for entry in outcome.logs:
        if entry.fields:
            msgspec.json.encode(entry.fields)


class _Kind(msgspec.Struct):
    t: str


class _Sizes(msgspec.Struct):
    """What becomes objects of an answer, unread."""

    view: msgspec.Raw = msgspec.Raw()
    returned: msgspec.Raw = msgspec.Raw()
    queued: msgspec.Raw = msgspec.Raw()
    metrics: msgspec.Raw = msgspec.Raw()
    logs: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    removed: msgspec.Raw = msgspec.Raw()
    warnings: msgspec.Raw = msgspec.Raw()


class AskFrame(msgspec.Struct):
    n: int
    kind: str
    body: dict[str, Any]


_decode_outcome = msgspec.msgpack.Decoder(Outcome, ext_hook=_no_extension).decode
_decode_sizes = msgspec.msgpack.Decoder(_Sizes).decode
_check_form = msgspec.json.Decoder(msgspec.Raw).decode
_decode_kind = msgspec.msgpack.Decoder(_Kind).decode
_decode_ask = msgspec.msgpack.Decoder(AskFrame).decode
