"""The server's side of author functions: starts zygotes, keeps workers warm, and kills what hangs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from vivavoce.domain.agent import Agent, Function
from vivavoce.domain.conversation import Conversation
from vivavoce.errors import VivavoceError
from vivavoce.functions import frames
from vivavoce.functions.interface import Answer, Ask, FunctionsUnavailable, Outcome, View
from vivavoce.functions.sandbox import Guards

log = logging.getLogger(__name__)

BOOT_SECONDS = 60.0  # to import a whole folder
MAX_ZYGOTES = 16
MAX_BOOT_FRAME_BYTES = 4 << 20
MOST_ASKS = 200  # call-backs of one function call
FIRST_UID = 61_184  # systemd's range for users that exist only while a service runs
UID_COUNT = 4_000


class Host:
    """A FunctionExecutor over processes. `agent_of` gives the agent and the Python files of a tree by its hash."""

    def __init__(
        self,
        agent_of: Callable[[str], Awaitable[tuple[Agent, dict[str, bytes]]]],
        *,
        workers: int = 64,
        memory_bytes: int = 1 << 30,
        isolate: bool = True,
    ) -> None:
        self._agent_of = agent_of
        self._most_workers = workers
        self._memory_bytes = memory_bytes
        self._isolate = isolate
        self._zygotes: OrderedDict[str, asyncio.Task[_Zygote]] = OrderedDict()
        self._workers: OrderedDict[tuple[str, str, str], _Worker] = OrderedDict()
        self.guards: Guards | None = None

    async def prepare(self, tree: str) -> dict[str, str]:
        """Starts the tree's zygote; returns modules that cannot be imported, with the reason."""
        return (await self._zygote(tree)).failures

    async def call(
        self, function: Function, arguments: dict[str, Any], view: View, answer: Answer, *, timeout: float
    ) -> Outcome:
        key = _key(view.conversation)
        for attempt in (1, 2):
            worker = self._workers.get(key)
            is_warm = worker is not None and worker.serves(view)
            try:
                if worker is None or not is_warm:
                    worker = await self._start(key, view)
                self._workers.move_to_end(key)
                return await worker.call(function, arguments, view, answer, timeout)
            except _WorkerDied as death:
                self._drop(key)
                # A warm worker may have died since its last call through no fault of this one.
                if not death.had_begun and is_warm and attempt == 1:
                    continue
                return Outcome(error=death.reason)
            except FunctionsUnavailable as error:
                self._drop(key)
                return Outcome(error=error.message)
            except asyncio.CancelledError:
                self._drop(key)
                raise
        raise AssertionError("unreachable")

    async def evict(self, conversation: Conversation) -> None:
        self._drop(_key(conversation))

    async def close(self) -> None:
        for key in list(self._workers):
            self._drop(key)
        for task in self._zygotes.values():
            task.cancel()
            try:
                (await task).close()
            except (asyncio.CancelledError, Exception) as error:  # one that never started must not keep the others
                log.debug("a zygote had not started: %s", type(error).__name__)
        self._zygotes.clear()

    @property
    def warm(self) -> int:
        return len(self._workers)

    def _drop(self, key: tuple[str, str, str]) -> None:
        worker = self._workers.pop(key, None)
        if worker is not None:
            worker.close()

    async def _start(self, key: tuple[str, str, str], view: View) -> _Worker:
        self._drop(key)
        zygote = await self._zygote(view.conversation.tree)
        worker = await zygote.fork()
        self._workers[key] = worker
        while len(self._workers) > self._most_workers:
            oldest = next((k for k, w in self._workers.items() if not w.is_busy and k != key), None)
            if oldest is None:
                break
            self._drop(oldest)
        return worker

    async def _zygote(self, tree: str) -> _Zygote:
        task = self._zygotes.get(tree)
        if task is not None and task.done() and (task.cancelled() or task.exception() or task.result().is_dead):
            del self._zygotes[tree]
            task = None
        if task is None:
            task = self._zygotes[tree] = asyncio.create_task(self._boot(tree))
            self._retire()
        self._zygotes.move_to_end(tree)
        zygote = await asyncio.shield(task)
        self.guards = zygote.guards
        return zygote

    def _retire(self) -> None:
        """The least recently used trees give up their processes when there are too many."""
        for tree, task in list(self._zygotes.items()):
            if len(self._zygotes) <= MAX_ZYGOTES:
                return
            if not task.done():
                continue
            if task.cancelled() or task.exception():
                del self._zygotes[tree]
            elif not any(w.is_busy for w in self._workers.values() if w.zygote is task.result()):
                del self._zygotes[tree]
                task.result().close()  # its warm workers go with it; they were only a cache

    async def _boot(self, tree: str) -> _Zygote:
        agent, files = await self._agent_of(tree)
        zygote = _Zygote()
        try:
            await asyncio.wait_for(
                zygote.boot(_boot_message(agent, files, self._memory_bytes, self._isolate)), BOOT_SECONDS
            )
        except TimeoutError:
            zygote.close()
            raise FunctionsUnavailable(
                f"The folder's functions took more than {BOOT_SECONDS:.0f} s to import."
            ) from None
        except (OSError, frames.Closed, msgspec.MsgspecError) as error:
            zygote.close()
            raise FunctionsUnavailable("The process for the folder's functions could not be started.") from error
        except BaseException:
            zygote.close()
            raise
        return zygote


def _key(conversation: Conversation) -> tuple[str, str, str]:
    return (conversation.account_id, conversation.agent_id, conversation.id)


def _boot_message(agent: Agent, files: dict[str, bytes], memory_bytes: int, isolate: bool) -> dict[str, Any]:
    functions = [*agent.functions.values()]
    for group in (agent.flow_functions, agent.step_functions):
        functions.extend(f for by_name in group.values() for f in by_name.values())
    return {
        "files": files,
        "modules": sorted({f.module for f in functions}),
        "memory_bytes": memory_bytes,
        "isolate": isolate,
        "project": {
            "functions": {f.name: f.module for f in agent.functions.values()},
            "flow_functions": {
                flow: {f.name: f.module for f in by.values()} for flow, by in agent.flow_functions.items()
            },
            "variants": agent.variants.attributes,
            "translations": agent.translations,
            "languages": list(agent.languages.all),
            "default_language": agent.languages.default,
            "sms_templates": {n: {"text": t.text, "senders": t.senders} for n, t in agent.sms_templates.items()},
            "handoffs": {
                n: {
                    "method": h.method,
                    "is_default": h.is_default,
                    "sip_headers": h.sip_headers,
                    "sip_config": {
                        k: v
                        for k, v in {
                            "phone_number": h.phone_number,
                            "outbound_endpoint": h.outbound_endpoint,
                            "outbound_encryption": h.outbound_encryption,
                        }.items()
                        if v
                    },
                }
                for n, h in agent.handoffs.items()
            },
            "real_time_config": {n: c.data for n, c in agent.real_time_config.items()},
        },
    }


_uids = itertools.cycle(range(FIRST_UID, FIRST_UID + UID_COUNT))


class _Zygote:
    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._scratch = ""
        self._numbers = itertools.count(1)
        self._project: dict[str, Any] = {}
        self._orders: deque[tuple[bytes, socket.socket | None]] = deque()
        self.live = 0
        self.guards = Guards()
        self.failures: dict[str, str] = {}

    @property
    def is_dead(self) -> bool:
        return self._process is None or self._process.poll() is not None

    async def boot(self, message: dict[str, Any]) -> None:
        uid = next(_uids)
        self._scratch = tempfile.mkdtemp(prefix="vivavoce-")
        if os.geteuid() == 0:
            os.chown(self._scratch, uid, uid)
        else:
            os.chmod(self._scratch, 0o700)
        ours, theirs = socket.socketpair()
        command = [
            sys.executable,
            "-I",
            "-B",
            "-c",
            f"from vivavoce.functions.zygote import main; main({theirs.fileno()})",
        ]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220  # our own interpreter; a fork, not a wait
                command,
                env={},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.setblocking(False)
        self._control = ours
        self._project = message["project"]
        loop = asyncio.get_running_loop()
        body = frames.encode({**message, "uid": uid, "scratch": self._scratch})
        await loop.sock_sendall(ours, frames.LENGTH.pack(len(body)) + body)
        # The guards are told before the first line of the folder runs, and so cannot be made up by it.
        self.guards = msgspec.convert(await _receive(loop, ours), Guards)
        self.failures = msgspec.convert(await _receive(loop, ours), dict[str, str])
        for module, reason in self.failures.items():
            log.warning("a function module cannot be imported: module=%s reason=%s", module, reason)

    async def fork(self) -> _Worker:
        if self._control is None or self.is_dead:
            raise FunctionsUnavailable("The process for the folder's functions has ended.")
        ours, theirs = socket.socketpair()
        number = next(self._numbers)
        self._order(b"F" + number.to_bytes(8, "big"), theirs)
        ours.setblocking(False)
        self.live += 1
        _, protocol = await asyncio.get_running_loop().create_connection(lambda: _Worker(self, number), sock=ours)
        return protocol

    def kill(self, number: int) -> None:
        self.live -= 1
        self._order(b"K" + number.to_bytes(8, "big"), None)

    def _order(self, message: bytes, descriptor: socket.socket | None) -> None:
        """Orders reach the zygote in this order, even when it is slow to take them: none is ever dropped."""
        self._orders.append((message, descriptor))
        if len(self._orders) == 1:
            self._send_orders()

    def _send_orders(self) -> None:
        control = self._control
        if control is None:
            return
        loop = asyncio.get_running_loop()
        while self._orders:
            message, descriptor = self._orders[0]
            try:
                socket.send_fds(control, [message], [descriptor.fileno()] if descriptor is not None else [])
            except BlockingIOError:
                loop.add_writer(control, self._send_orders)
                return
            except OSError:
                pass  # the zygote is gone: whoever waits for the worker sees its socket close
            self._orders.popleft()
            if descriptor is not None:
                descriptor.close()
        loop.remove_writer(control)

    def real_time_config(self, environment: str) -> dict[str, Any]:
        name = {"live": "live", "pre-release": "pre_release"}.get(environment, "draft_and_sandbox")
        found: dict[str, Any] = self._project["real_time_config"].get(name, {})
        return found

    def close(self) -> None:
        if self._control is not None:
            with contextlib.suppress(RuntimeError):  # no loop runs any more
                asyncio.get_running_loop().remove_writer(self._control)
            self._control.close()
            self._control = None
        for _, descriptor in self._orders:
            if descriptor is not None:
                descriptor.close()
        self._orders.clear()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)


async def _receive(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> Any:
    (length,) = frames.LENGTH.unpack(await _read(loop, sock, frames.LENGTH.size))
    if length > MAX_BOOT_FRAME_BYTES:
        raise frames.Closed("the process answered with too much")
    return frames.decode(await _read(loop, sock, length))


async def _read(loop: asyncio.AbstractEventLoop, sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = await loop.sock_recv(sock, count - len(data))
        if not part:
            raise frames.Closed("the process ended while it started")
        data += part
    return bytes(data)


class _WorkerDied(Exception):
    def __init__(self, reason: str, *, had_begun: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.had_begun = had_begun


class _Worker(asyncio.Protocol):
    """The connection to one worker. One call at a time; its asks are answered as they come, side by side."""

    def __init__(self, zygote: _Zygote, number: int) -> None:
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
            raise _WorkerDied("The function's process had ended.", had_begun=False)
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
            },
        }
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
                "real_time_config": self.zygote.real_time_config(conversation.environment),
                "state": view.state,
            }
        return frame

    def _expire(self, timeout: float) -> None:
        self._fail(f"The function took more than {timeout:g} s and was stopped.")
        self.close()

    def _fail(self, reason: str) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(_WorkerDied(reason, had_begun=True))

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
            if length > frames.MAX_FRAME_BYTES:
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
                outcome = _decode_outcome(body)
                _check(outcome)
                self._outcome.set_result(outcome)
        elif kind == "ask":
            ask = _decode_ask(body)
            task = asyncio.get_running_loop().create_task(self._respond(ask))
            self._asks.add(task)
            task.add_done_callback(self._asks.discard)

    async def _respond(self, ask: _AskFrame) -> None:
        reply: dict[str, Any] = {"t": "answer", "n": ask.n}
        self._asked += 1
        if self._answer is None:
            reply["error"] = "no call is running"
        elif self._asked > MOST_ASKS:
            reply["error"] = f"a function may ask at most {MOST_ASKS} times in one call"
        else:
            try:
                reply["value"] = await self._answer(Ask(kind=ask.kind, body=ask.body))
            except VivavoceError as error:
                reply["error"] = error.message
        body = frames.encode(reply)
        if self._transport is not None and not self._is_closed:
            self._transport.write(frames.LENGTH.pack(len(body)) + body)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("The function's process ended before it answered.")
        self.close()


def _no_extension(code: int, data: memoryview) -> Any:
    raise ValueError(f"extension {code}")


def _check(outcome: Outcome) -> None:
    """A worker may send anything: what cannot be written as JSON must not get as far as the record."""
    for value in outcome.view.values():
        msgspec.json.decode(value)
    queued = outcome.queued
    parts = (outcome.returned, queued.handoff, queued.voice, queued.asr_biasing, outcome.metrics, outcome.messages)
    if any(parts):
        msgspec.json.encode(parts)
    for entry in outcome.logs:
        if entry.fields:
            msgspec.json.encode(entry.fields)


class _Kind(msgspec.Struct):
    t: str


class _AskFrame(msgspec.Struct):
    n: int
    kind: str
    body: dict[str, Any]


_decode_outcome = msgspec.msgpack.Decoder(Outcome, ext_hook=_no_extension).decode
_decode_kind = msgspec.msgpack.Decoder(_Kind).decode
_decode_ask = msgspec.msgpack.Decoder(_AskFrame).decode
