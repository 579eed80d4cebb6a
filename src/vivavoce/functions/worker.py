"""One conversation's author code: reads a call, runs it, answers with what came of it. Lives as long as its socket."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import random
import signal
import socket
import sys
from typing import Any

from vivavoce.functions import frames, sandbox, seccomp
from vivavoce.functions.runtime import clock
from vivavoce.functions.runtime.conversation import Conversation, Flow, initial_state
from vivavoce.functions.runtime.session import (
    Channel,
    Effects,
    LogHandler,
    Printed,
    Running,
    clean_text,
    describe,
    sendable,
)
from vivavoce.functions.runtime.state import StateView, encode_view


def main(sock: socket.socket, project: dict[str, Any], *, has_domain: bool) -> None:
    """Never returns. `has_domain`: it is to have a Landlock domain of its own."""
    try:
        os.setsid()
        sandbox.die_with_parent()
        sandbox.hide_memory()
        if has_domain:
            sandbox.landlock_apart()
        seccomp.stay_in_group()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout = sys.stderr = Printed()
        logging.basicConfig(handlers=[LogHandler()], level=logging.INFO, force=True)
        random.seed()
        _Worker(sock, project).run()
    except frames.Closed:
        pass  # the server is done with this conversation, or gone
    finally:
        os._exit(0)


MAX_RETURNED_DEPTH = 64


class _Worker:
    def __init__(self, sock: socket.socket, project: dict[str, Any]) -> None:
        self.channel = Channel(sock)
        self.project = project
        self.conv: Conversation | None = None
        self.view = StateView()
        Running.channel = self.channel

    def run(self) -> None:
        while True:
            frame = self.channel.next_call()
            try:
                outcome = self.answer(frame)
                self.channel.send({"t": "done", **outcome})
            except frames.Closed:
                raise
            except (
                BaseException
            ) as error:  # author code can leave anything anywhere; the call fails, the worker does not
                gc.collect()
                self.channel.send({"t": "done", "error": describe(error)})

    def answer(self, frame: dict[str, Any]) -> dict[str, Any]:
        Running.effects = effects = Effects()
        clock.set_now(frame["now"])
        conv = self.opened(frame)
        conv.refresh(frame["patch"])
        returned, error = self.call(conv, frame)
        sys.stdout.flush()
        conv.settle()
        pickled, changed, removed, warnings = self.view.changes(conv.state, conv.saved())
        answer: dict[str, Any] = {
            "error": error,
            "queued": {k: v for k, v in effects.queued.items() if v is not None},
            "metrics": effects.metrics,
            "logs": effects.logs,
            "messages": effects.messages,
            "state": pickled,
            "view": changed,
            "removed": removed,
            "warnings": warnings,
        }
        if isinstance(returned, str) or returned is None:
            answer["returned"] = sendable(returned)
        elif isinstance(returned, dict):
            answer["returned"] = _plain(returned)
        else:
            answer["returned"], answer["is_odd"] = encode_view(returned).decode(), True
        return answer

    def opened(self, frame: dict[str, Any]) -> Conversation:
        opened = frame.get("open")
        if opened is not None:
            self.conv = conv = Conversation(opened, self.project)
            saved: dict[str, Any] = {}
            if opened["state"]:
                self.view.load(opened["state"], conv.state, saved)
                conv.restore(saved)
            else:
                conv.state.update(initial_state(opened))
        assert self.conv is not None
        return self.conv

    def call(self, conv: Conversation, frame: dict[str, Any]) -> tuple[Any, str | None]:
        try:
            function = getattr(importlib.import_module(frame["module"]), frame["name"])
            arguments = frame["arguments"]
            if frame["flow"] is None:
                return function(conv, **arguments), None
            return function(conv, Flow(conv, self.project["flow_functions"].get(frame["flow"], {})), **arguments), None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # author code may raise anything; it is the call's error, not ours
            return None, describe(error)


def _plain(value: Any, depth: int = 0) -> Any:
    """A returned dict as plain data."""
    if depth > MAX_RETURNED_DEPTH:
        return None
    if isinstance(value, dict):
        return {clean_text(str(k)): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, depth + 1) for v in value]
    return sendable(value)
