"""One server process: the owner's lock on the data folder, the reloading of drafts, uvicorn around the application."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from watchfiles import awatch

from vivavoce.cli.protocol import Patient
from vivavoce.errors import UsageError, VivavoceError
from vivavoce.project import layout
from vivavoce.service.deployments import FolderRefused, Served
from vivavoce.settings import Settings
from vivavoce.wiring import Running, running
from vivavoce.wiring.doors import application, lines

log = logging.getLogger(__name__)
LOCK = "owner.lock"
SWITCH_SECONDS = 0.0005
COLLECT_AFTER = 10_000  # new objects
BACKLOG = 1024  # connections that wait to be accepted
KEEP_ALIVE_SECONDS = 75  # longer than clients keep a connection: who closes first does not break the other's request
MOST_MESSAGE_BYTES = 256 << 10  # of a WebSocket
SHUTDOWN_SECONDS = 35  # a turn that waits for its model may take as long


class OwnerLock:
    """Two writers never share a data folder. The file holds the address of the one that has it."""

    def __init__(self, data: Path) -> None:
        self._path = data / LOCK
        self._descriptor = -1

    def take(self, address: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            self._descriptor = -1
            owner = address_of_owner(self._path.parent)
            where = f" at {owner}" if owner else ""
            raise UsageError(
                f"Another vivavoce{where} is using {self._path.parent}; stop it, or give this one its own --data."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps({"address": address, "pid": os.getpid()}).encode(), 0)

    def give_back(self) -> None:
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def address_of_owner(data: Path) -> str | None:
    """Where the process that owns the data folder listens; None when nobody owns it, or it does not listen."""
    path = data / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # the lock was free
    except OSError:
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        address = found.get("address") if isinstance(found, dict) else None
        return address or None
    finally:
        os.close(descriptor)


async def serve(
    settings: Settings,
    folders: tuple[Path, ...],
    *,
    host: str,
    port: int,
    is_reloading: bool,
    announce: Callable[[Running, str], None],
) -> None:
    """Runs until it is told to stop (SIGINT or SIGTERM), then lets running turns finish."""
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder. Name the folder that holds project.yaml.")
    sock = _listen(host, port)
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{sock.getsockname()[1]}"
    lock = OwnerLock(settings.data)
    try:
        lock.take(address)
        async with running(settings, folders=folders) as started, lines(settings, started.services):
            config = uvicorn.Config(
                application(settings, started.services),
                http=Patient,
                log_level="warning",
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                server_header=False,
                ws_max_size=MOST_MESSAGE_BYTES,
                proxy_headers=False,
            )
            followed = started.services.deployments.served if is_reloading else []
            watchers = [asyncio.create_task(_follow(started, served)) for served in followed]
            announce(started, address)
            settle()
            try:
                await _Server(config, partial(_drain, started)).serve(sockets=[sock])
            finally:
                for watcher in watchers:
                    watcher.cancel()
    finally:
        sock.close()
        lock.give_back()


def settle() -> None:
    """Readies the interpreter for serving: what was loaded leaves the garbage collector's sight, since scanning it again
    and again is felt as pauses; and the store's writer gets its turn without waiting for a whole slice."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


async def _drain(started: Running) -> None:
    """Who sends work hears that there is no more; then no call is left, or none is waited for any longer."""
    settings, services = started.settings, started.services
    services.operations.stop()
    await asyncio.gather(asyncio.sleep(settings.drain_notice_seconds), services.calls.drain(settings.drain_seconds))


class _Server(uvicorn.Server):
    """Uvicorn would raise the signal again once it has stopped, and so end the process before the store is closed."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Coroutine[Any, Any, None]]) -> None:
        super().__init__(config)
        self._drain = drain
        self._draining: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._drain())
            self._draining.add_done_callback(self._drained)
        else:  # asked twice: do not wait for calls and running turns
            self.force_exit = True
            self.should_exit = True

    def _drained(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("calls were not waited for: %s", type(task.exception()).__name__)
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    """Port 0 is any free one. Bound before anything is started, so that a taken port costs nothing."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be listened on ({error.strerror}); choose another with --host or --port."
        ) from None
    return sock


async def _follow(started: Running, served: Served) -> None:
    """Loads the folder again when a file of it changes. A folder with errors leaves the last good version serving."""
    folder, deployments = served.folder, started.services.deployments
    async for _ in awatch(folder, watch_filter=lambda _, path: _belongs(folder, path), debounce=200, step=50):
        try:
            again = await deployments.serve(folder)
            await started.functions.prepare(again.deployment.tree)
            settle()
        except VivavoceError as error:
            faults = error.faults if isinstance(error, FolderRefused) else ()
            deployments.refuse(served.agent_id, error.message, faults)
            log.error("the change was not taken, the last good version goes on: %s", error.message)
        except Exception as error:  # a watcher that dies would leave the author puzzled
            deployments.refuse(served.agent_id, f"Loading failed: {type(error).__name__}")
            log.error("reloading failed: %s", type(error).__name__, exc_info=error)
        else:
            log.info("reloaded %s: %s", again.agent_id, again.deployment.tree[:12])
            for fault in again.loaded.faults:
                log.warning("%s:%d: %s", fault.path, fault.line, fault.message)


def _belongs(folder: Path, path: str) -> bool:
    try:
        return layout.belongs(Path(path).relative_to(folder).as_posix())
    except ValueError:
        return False
