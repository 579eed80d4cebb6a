"""A SQLite file as a service: one writer thread that commits in groups, a few readers, checkpoints off the path.

`synchronous=FULL`: a commit is on the disk before its caller hears of it. One fsync serves every write that waited.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from vivavoce.store.interface import StoreError
from vivavoce.store.tables.connection import DAMAGED, NOTHING, Connection, Refused, Row, Values

T = TypeVar("T")

GROUP = 256  # writes in one commit at most
READERS = 4
CHECKPOINT_SECONDS = 1.0
CHECKPOINT_BYTES = 16 << 20  # of WAL, before a checkpoint is worth its reads
CUT_ATTEMPTS = 5
CUT_PAUSE_SECONDS = 0.05
CACHE_KIB = 16384  # of each connection

_Write = tuple[Callable[[Connection], Awaitable[Any]], "asyncio.Future[Any]", asyncio.AbstractEventLoop, bool]


def at(moment: datetime) -> str:
    """UTC with microseconds: texts that sort as their times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


sqlite3.register_adapter(datetime, at)


class SqliteConnection:
    """Answers at once: a coroutine that is written against it never waits."""

    def __init__(self, raw: sqlite3.Connection, statements: Mapping[str, str]) -> None:
        self._raw = raw
        self._sql = statements

    async def one(self, statement: str, values: Values = NOTHING) -> Row | None:
        return cast("Row | None", self._raw.execute(self._sql[statement], values).fetchone())

    async def all(self, statement: str, values: Values = NOTHING) -> Sequence[Row]:
        return self._raw.execute(self._sql[statement], values).fetchall()

    async def run(self, statement: str, values: Values = NOTHING) -> int:
        try:
            return self._raw.execute(self._sql[statement], values).rowcount
        except sqlite3.IntegrityError as error:
            raise Refused(str(error)) from error

    async def each(self, statement: str, values: Sequence[Values]) -> None:
        for each in values:
            self._raw.execute(self._sql[statement], each)

    async def select(self, sql: str, values: Values = NOTHING) -> Sequence[Row]:
        return self._raw.execute(sql, values).fetchall()


class SqliteDatabase:
    def __init__(
        self,
        path: Path,
        statements: Mapping[str, str],
        *,
        migrate: Callable[[sqlite3.Connection], None],
    ) -> None:
        """`migrate` makes the file ready."""
        self._path = path
        self._statements = statements
        self._migrating = migrate
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._checkpointer: threading.Thread | None = None
        self._stopping = threading.Event()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    # Life.

    async def open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(mode=0o600)
            await asyncio.get_running_loop().run_in_executor(self._readers, self._migrate)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"The database {self._path} cannot be opened: {error}.") from error
        self._writer = threading.Thread(target=self._write_loop, name="store-write", daemon=True)
        self._writer.start()
        self._checkpointer = threading.Thread(target=self._checkpoint_loop, name="store-checkpoint", daemon=True)
        self._checkpointer.start()

    async def close(self) -> None:
        if self._writer is not None:
            self._stopping.set()
            self._writes.put(None)
            await asyncio.to_thread(self._writer.join)
            assert self._checkpointer is not None
            await asyncio.to_thread(self._checkpointer.join)
            self._writer = None
        self._readers.shutdown(wait=True)
        for connection in self._opened:
            connection.close()
        self._opened.clear()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        return connection

    def _migrate(self) -> None:
        connection = self._connect()
        try:
            self._migrating(connection)
        finally:
            connection.close()

    # Writing.

    def _write_loop(self) -> None:
        connection = self._connect()
        tables = SqliteConnection(connection, self._statements)
        while True:
            first = self._writes.get()
            if first is None:
                break
            batch = [first]
            is_last = False
            with contextlib.suppress(queue.Empty):
                while len(batch) < GROUP:
                    more = self._writes.get_nowait()
                    if more is None:
                        is_last = True
                        break
                    batch.append(more)
            self._commit(connection, tables, batch)
            if is_last:
                break
        connection.close()

    def _commit(self, connection: sqlite3.Connection, tables: SqliteConnection, batch: list[_Write]) -> None:
        """Each write stands or falls alone; all that stand share one commit."""
        results: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        try:
            if len(batch) == 1 and batch[0][3]:
                results.append(_written(tables, batch[0]))
            else:
                connection.execute("BEGIN IMMEDIATE")
                for item in batch:
                    connection.execute("SAVEPOINT one")
                    results.append(_written(tables, item))
                    if results[-1][2] is not None:
                        connection.execute("ROLLBACK TO one")
                    connection.execute("RELEASE one")
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            results = [(item[1], None, error) for item in batch]
        for loop in {id(item[2]): item[2] for item in batch}.values():
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, results)

    async def write(self, write: Callable[[Connection], Awaitable[T]], *, is_single: bool = False) -> T:
        """One that `is_single` is its own transaction when nothing else waits."""
        if self._writer is None:
            raise StoreError("The store is closed.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._writes.put((write, future, loop, is_single))
        try:
            # Whoever cancels its wait does not undo a write that may already be on the disk.
            return await asyncio.shield(future)
        except sqlite3.Error as error:
            raise StoreError(f"The database could not be written: {error}.") from error

    def _checkpoint_loop(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # only where threads have a priority of their own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        connection = self._connect()
        wal = self._path.with_name(self._path.name + "-wal")
        while not self._stopping.wait(CHECKPOINT_SECONDS):
            with contextlib.suppress(OSError, sqlite3.Error):  # tried again in a second
                if wal.stat().st_size > CHECKPOINT_BYTES:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()

    async def size(self) -> int:
        """The write-ahead log included."""
        return await asyncio.to_thread(self._size)

    def _size(self) -> int:
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    async def cut_log(self) -> bool:
        """Writes the write-ahead log into the file and empties it. False when somebody is still reading from it."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, lambda: _cut(self._reader()[0]))

    # Reading.

    async def read(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._reading, read)
        except sqlite3.Error as error:
            raise StoreError(f"The database could not be read: {error}.") from error
        except DAMAGED as error:
            raise StoreError(
                f"A row of the database is damaged ({type(error).__name__}); restore it from a copy."
            ) from error

    def _reading(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        return finished(read(self._reader()[1]))

    def _reader(self) -> tuple[sqlite3.Connection, SqliteConnection]:
        """This thread's own connection."""
        known: tuple[sqlite3.Connection, SqliteConnection] | None = getattr(self._local, "reader", None)
        if known is None:
            connection = self._connect()
            known = self._local.reader = (connection, SqliteConnection(connection, self._statements))
            self._opened.append(connection)
        return known


def finished(asked: Awaitable[T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        cast("Coroutine[Any, Any, T]", asked).send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise RuntimeError("a statement on SQLite does not wait")


def _cut(connection: sqlite3.Connection) -> bool:
    connection.execute("PRAGMA busy_timeout=20")  # writers wait while this waits for readers
    try:
        return _is_cut(connection)
    finally:
        connection.execute("PRAGMA busy_timeout=30000")


def _is_cut(connection: sqlite3.Connection) -> bool:
    for _ in range(CUT_ATTEMPTS):
        if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
            return True
        time.sleep(CUT_PAUSE_SECONDS)
    return False


def _written(tables: SqliteConnection, item: _Write) -> tuple[asyncio.Future[Any], Any, BaseException | None]:
    try:
        return item[1], finished(item[0](tables)), None
    except Exception as error:  # told to the one who asked for this write
        return item[1], None, error


def _resolve(results: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    loop = asyncio.get_running_loop()
    for future, value, error in results:
        if future.get_loop() is not loop or future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
