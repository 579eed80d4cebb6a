"""The parent of a tree's workers: a fresh process that puts up the guards, imports the folder once, and then only forks.

Started with an empty environment as `python -I -B -c ... FD`; everything it knows arrives over that socket.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
from typing import Any

from vivavoce.functions import frames, sandbox, seccomp

NICE = 5
MOST_PROCESSES = 2_048  # of one agent, threads included
ORDER_BYTES = 9  # a letter and a worker's number; read one at a time, since two may have arrived together


def main(descriptor: int) -> None:
    """Never returns. Exits when the server closes the socket, and takes every worker with it."""
    sandbox.die_with_parent()
    control = socket.socket(fileno=descriptor)
    boot = frames.receive(control)
    is_apart = not boot["has_network"] and (boot["in_bubblewrap"] or sandbox.leave_network())
    has_namespace = sandbox.enter_pid_namespace() if boot["isolate"] else False
    if has_namespace:
        child = os.fork()
        if child:
            control.close()
            _, status = os.waitpid(child, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0x7F)
        sandbox.die_with_parent()
    try:
        _serve(control, boot, has_namespace, is_apart)
    finally:
        os._exit(0)


def _serve(control: socket.socket, boot: dict[str, Any], has_namespace: bool, is_apart: bool) -> None:
    import vivavoce.functions.worker as worker  # noqa: PLC0415  # after the fork: the launcher stays small
    from vivavoce.functions.runtime import clock, imports  # noqa: PLC0415

    os.nice(NICE)  # author code that is busy must not starve the server
    clock.install()
    guards = _guard(boot, has_namespace, is_apart)
    frames.send(control, guards)
    imports.install(boot["files"])
    failures = _import_all(boot["modules"])
    _import_what_calls_need(boot)
    gc.collect()
    gc.freeze()
    frames.send(control, failures)
    # A domain within one that has a rule for each port copies all of them: tens of milliseconds for each conversation.
    _fork_loop(control, boot["project"], worker, has_domain=not boot["closed_ports"])


def _guard(boot: dict[str, Any], has_namespace: bool, is_apart: bool) -> dict[str, Any]:
    base = sandbox.address_space()
    libraries = sandbox.library_paths()
    was_root = os.geteuid() == 0
    is_other_user = was_root and sandbox.others_can_read(libraries) and sandbox.become(boot["uid"])
    if was_root and not is_other_user and not boot["in_bubblewrap"]:
        os.chown(boot["scratch"], 0, 0)  # root without its powers writes only what is its own
    if is_other_user:
        sandbox.limit_processes(MOST_PROCESSES)
    landlock, dropped, closed, calls = 0, False, False, False
    if boot["isolate"]:
        closed = sandbox.close_ports(boot["closed_ports"])
        landlock = sandbox.landlock([*sandbox.SYSTEM_READ, *libraries], [boot["scratch"]])
        dropped = sandbox.drop_capabilities() if os.geteuid() == 0 else True
        calls = seccomp.confine(has_own_user=is_other_user or boot["in_bubblewrap"])
        sandbox.hide_memory()
    sandbox.die_with_parent()  # a change of user forgets it
    sandbox.limit_resources(boot["memory_bytes"], base)
    os.environ["TMPDIR"] = boot["scratch"]
    with contextlib.suppress(OSError):
        os.chdir(boot["scratch"])
    return {
        "user": is_other_user,
        "no_capabilities": dropped,
        "pid_namespace": has_namespace,
        "landlock": landlock,
        "system_calls": calls,
        "signals": has_namespace or is_other_user or (landlock >= 6 and calls) or boot["in_bubblewrap"],
        "closed_ports": closed and calls,
        "no_network": is_apart and calls,
        "bubblewrap": boot["in_bubblewrap"],
    }


def _import_what_calls_need(boot: dict[str, Any]) -> None:
    """Libraries that the runtime imports when they are first used: imported once here, rather than in every worker."""
    if boot["project"]["apis"]:
        importlib.import_module("requests")
    if any(b"validate_entity" in source for source in boot["files"].values()):
        importlib.import_module("vivavoce.entities.validation")


def _import_all(modules: list[str]) -> dict[str, str]:
    """A module that fails breaks only its own function: the failure is told again when it is called."""
    from vivavoce.functions.runtime.session import describe  # noqa: PLC0415

    failures = {}
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as error:  # author code at import may raise anything, SystemExit included
            failures[name] = describe(error)
            sys.modules.pop(name, None)
    return failures


def _fork_loop(control: socket.socket, project: dict[str, Any], worker: Any, *, has_domain: bool) -> None:
    workers: dict[int, int] = {}  # the server's number of a worker -> its pid here
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([control.fileno(), wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            _reap(workers)
        if control.fileno() not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, ORDER_BYTES, 1)
        if len(message) < ORDER_BYTES:
            return  # the server closed its end
        action, number = message[:1], int.from_bytes(message[1:9], "big")
        if action == b"F" and descriptors:
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                control.close()
                os.close(wake_read)
                os.close(wake_write)
                worker.main(socket.socket(fileno=descriptors[0]), project, has_domain=has_domain)
            os.close(descriptors[0])
            workers[number] = pid
        elif action == b"K":
            pid = workers.pop(number, 0)
            if pid:
                _kill_group(pid)


def _reap(workers: dict[int, int]) -> None:
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # what it has forked goes with it
        for number, known in list(workers.items()):
            if known == pid:
                del workers[number]


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)  # it may not have become the leader of its group yet
