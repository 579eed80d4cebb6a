"""The server's side of one zygote: starts it, and gives it its orders."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from vivavoce.functions import frames, sandbox
from vivavoce.functions.connection import Worker
from vivavoce.functions.interface import FunctionsUnavailable
from vivavoce.functions.sandbox import Guards

log = logging.getLogger(__name__)

MAX_BOOT_FRAME_BYTES = 4 << 20
FIRST_UID = 61_184  # systemd's range for users that exist only while a service runs
UID_COUNT = 4_000

SCRATCH = "vivavoce-"

_uids = itertools.cycle(range(FIRST_UID, FIRST_UID + UID_COUNT))


class Zygote:
    def __init__(self, *, bubblewrap: bool = False) -> None:
        """With `bubblewrap` in a file system of its own, by the program of that name."""
        self._bubblewrap = bubblewrap
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._scratch = ""
        self._numbers = itertools.count(1)
        self._orders: deque[tuple[bytes, socket.socket | None]] = deque()
        self.live = 0
        self.guards = Guards()
        self.failures: dict[str, str] = {}

    @property
    def is_dead(self) -> bool:
        return self._process is None or self._process.poll() is not None

    async def boot(self, message: dict[str, Any]) -> None:
        uid = next(_uids)
        self._scratch = tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-")
        if os.geteuid() == 0 and not self._bubblewrap:  # in there no other user is known
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
        if self._bubblewrap:
            command = [*_wrapped(self._scratch, has_network=message["has_network"]), *command]
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
        loop = asyncio.get_running_loop()
        body = frames.encode({**message, "uid": uid, "scratch": self._scratch, "in_bubblewrap": self._bubblewrap})
        await loop.sock_sendall(ours, frames.LENGTH.pack(len(body)) + body)
        # The guards are told before the first line of the folder runs, and so cannot be made up by it.
        self.guards = msgspec.convert(await _receive(loop, ours), Guards)
        self.failures = msgspec.convert(await _receive(loop, ours), dict[str, str])
        for module, reason in self.failures.items():
            log.warning("a function module cannot be imported: module=%s reason=%s", module, reason)

    async def fork(self) -> Worker:
        if self._control is None or self.is_dead:
            raise FunctionsUnavailable("The process for the folder's functions has ended.")
        ours, theirs = socket.socketpair()
        number = next(self._numbers)
        self._order(b"F" + number.to_bytes(8, "big"), theirs)
        ours.setblocking(False)
        self.live += 1
        _, protocol = await asyncio.get_running_loop().create_connection(lambda: Worker(self, number), sock=ours)
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
        if self._scratch:
            _remove(self._scratch)


def sweep() -> None:
    """Removes the temporary folders of servers that were killed before they could."""
    left = [
        str(path)
        for path in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*-*")
        if (pid := path.name.removeprefix(SCRATCH).partition("-")[0]).isdecimal()
        and not Path(f"/proc/{pid}").exists()
        and Path("/proc/self").exists()
    ]
    if left:
        _remove(*left)


def _remove(*folders: str) -> None:
    """Author code has filled them: with folders too deep for Python's own way of removing them, and more than anybody should
    wait for."""
    command = ["rm", "-rf", "--", *folders]
    threading.Thread(target=lambda: subprocess.run(command, stderr=subprocess.DEVNULL, check=False)).start()


def _wrapped(scratch: str, *, has_network: bool) -> list[str]:
    """Nothing is there but what author code may read, and its own folder."""
    shown = [path for path in (*sandbox.SYSTEM_READ, *sandbox.library_paths()) if Path(path).exists()]
    return [
        "bwrap", "--unshare-user-try", "--unshare-ipc", "--unshare-uts", "--unshare-pid", "--unshare-cgroup-try",
        *(() if has_network else ("--unshare-net",)),
        "--die-with-parent", "--new-session", "--clearenv", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
        *(part for path in shown if not path.startswith("/dev/") for part in ("--ro-bind", path, path)),
        "--bind", scratch, scratch, "--chdir", scratch,
    ]  # fmt: skip


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
