"""The one conversation of a worker process: its channel to the server, and what author code has queued in this call."""

from __future__ import annotations

import logging
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any

import msgspec

from vivavoce.functions import frames
from vivavoce.functions.runtime import clock

MAX_LOG_ENTRIES = 500
MAX_LOG_CHARACTERS = 20_000


class AskFailed(RuntimeError):
    """The server had no answer; `code` says why."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Channel:
    """Frames to and from the server. Any thread may ask; whichever thread waits first reads for all."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = threading.Lock()
        self._arrived = threading.Condition()
        self._inbox: dict[int | str, dict[str, Any]] = {}
        self._is_reading = False
        self._is_closed = False
        self._next = 0

    def send(self, message: dict[str, Any]) -> None:
        with self._sending:
            frames.send(self._socket, message)

    def ask(self, kind: str, body: dict[str, Any]) -> Any:
        with self._arrived:
            self._next += 1
            number = self._next
        self.send({"t": "ask", "n": number, "kind": kind, "body": body})
        answer = self._wait_for(number)
        if answer.get("error"):
            raise AskFailed(answer["error"], answer.get("code", ""))
        return answer.get("value")

    def next_call(self) -> dict[str, Any]:
        return self._wait_for("call")

    def _wait_for(self, key: int | str) -> dict[str, Any]:
        with self._arrived:
            while True:
                if key in self._inbox:
                    return self._inbox.pop(key)
                if self._is_closed:
                    raise frames.Closed("the server is gone")
                if self._is_reading:
                    self._arrived.wait()
                    continue
                self._is_reading = True
                self._arrived.release()
                try:
                    frame = self._read()
                finally:
                    self._arrived.acquire()
                    self._is_reading = False
                    self._arrived.notify_all()
                if frame is None:
                    self._is_closed = True
                else:
                    self._inbox[frame["n"] if frame["t"] == "answer" else "call"] = frame

    def _read(self) -> dict[str, Any] | None:
        try:
            frame: dict[str, Any] = frames.receive(self._socket)
        except (frames.Closed, OSError):
            return None
        return frame


class Effects:
    """What author code has asked for in the running call."""

    def __init__(self) -> None:
        self.queued: dict[str, Any] = {}
        self.metrics: list[dict[str, Any]] = []
        self.logs: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def log(self, logger: str, level: str, content: object, *, is_pii: bool = False, **fields: Any) -> None:
        entry = {
            "logger": logger,
            "level": level,
            "content": clean_text(str(content)[:MAX_LOG_CHARACTERS]),
            "at": clock.aware_now(),
            "is_pii": bool(is_pii),
            "fields": {str(k): sendable(v) for k, v in fields.items()},
        }
        with self._lock:
            if len(self.logs) < MAX_LOG_ENTRIES:
                self.logs.append(entry)

    def goto_flow(self, name: str) -> None:
        self.queued.pop("exit_flow", None)
        self.queued.pop("goto_step", None)  # it was a step of the flow that is being left
        self.queued["goto_flow"] = str(name)

    def goto_step(self, name: str) -> None:
        self.queued.pop("exit_flow", None)
        self.queued["goto_step"] = str(name)

    def exit_flow(self) -> None:
        if "goto_flow" not in self.queued:
            self.queued.pop("goto_step", None)
            self.queued["exit_flow"] = True


class Running:
    """Which effects, channel and executor the runtime's globals (plog, print, conv) write to at the moment."""

    effects = Effects()
    channel: Channel | None = None
    zone = "UTC"  # IANA name
    call: Callable[..., Any] | None = None


class LogHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        Running.effects.log("logging", record.levelname.lower(), record.getMessage(), name=record.name)


class Printed:
    """Takes the place of stdout: each line printed is a log entry of the call."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._open = ""

    def write(self, text: str) -> int:
        *lines, self._open = (self._open + text).split("\n")
        for line in lines:
            Running.effects.log("print", "info", line)
        return len(text)

    def flush(self) -> None:
        if self._open:
            Running.effects.log("print", "info", self._open)
            self._open = ""

    def isatty(self) -> bool:
        return False


def describe(error: BaseException) -> str:
    """The error as its author wants it: type, message and the author's own line, without our frames."""
    place = ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(("functions/", "flows/")):
            place = f" ({frame.filename}:{frame.lineno})"
            break
    try:
        message = str(error)
    except Exception:  # an author's __str__ may raise
        message = ""
    return clean_text(f"{type(error).__name__}: {message}"[:2000] if message else type(error).__name__) + place


def clean_text(text: str) -> str:
    """Text that can be written as UTF-8: half of a surrogate pair becomes a question mark."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def sendable(value: Any) -> Any:
    """Plain data for the wire out of anything at all."""
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return value
    from vivavoce.functions.runtime.state import encode_view  # noqa: PLC0415  # state is loaded after this module

    return msgspec.json.decode(encode_view(value))
