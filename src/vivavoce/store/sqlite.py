"""The record on SQLite: one writer thread that commits in groups, a few readers, checkpoints off the path.

`synchronous=FULL`: a commit is on the disk before its caller hears of it. One fsync serves every write that waited.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import uuid
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vivavoce.domain.conversation import Closing, Conversation, Delivery, Snapshot, Turn
from vivavoce.domain.deployment import Deployment, Tree
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Key
from vivavoce.domain.work import Work
from vivavoce.errors import ConversationExists
from vivavoce.store import codec
from vivavoce.store.interface import Claimed, PositionConflict, Reply, StoreError
from vivavoce.store.statements import migrations, statements

T = TypeVar("T")

GROUP = 256  # writes in one commit at most
READERS = 4
CHECKPOINT_SECONDS = 1.0
CHECKPOINT_BYTES = 16 << 20  # of WAL, before a checkpoint is worth its reads
MAX_KNOWN_TEXTS = 200_000

SQL = statements("sqlite")
_encode = msgspec.json.Encoder().encode
_Write = tuple[Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop, bool]


def at(moment: datetime) -> str:
    """UTC with microseconds: texts that sort as their times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


class SqliteStore:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._checkpointer: threading.Thread | None = None
        self._stopping = threading.Event()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._known_texts: set[str] = set()

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
        connection.execute("PRAGMA cache_size=-16384")
        return connection

    def _migrate(self) -> None:
        connection = self._connect()
        try:
            done = connection.execute("PRAGMA user_version").fetchone()[0]
            known = migrations("sqlite")
            if done > max(number for number, _ in known):
                raise StoreError(
                    f"The database {self._path} was made by a newer version of vivavoce; use that version."
                )
            for number, script in known:
                if number > done:
                    connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version={number};\nCOMMIT;")
        finally:
            connection.close()

    # Writing.

    def _write_loop(self) -> None:
        connection = self._connect()
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
            self._commit(connection, batch)
            if is_last:
                break
        connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: list[_Write]) -> None:
        """Each write stands or falls alone; all that stand share one commit."""
        results: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        try:
            if len(batch) == 1 and batch[0][3]:
                results.append(_written(connection, batch[0]))
            else:
                connection.execute("BEGIN IMMEDIATE")
                for item in batch:
                    connection.execute("SAVEPOINT one")
                    results.append(_written(connection, item))
                    if results[-1][2] is not None:
                        connection.execute("ROLLBACK TO one")
                        self._known_texts.clear()  # some may have gone with it
                    connection.execute("RELEASE one")
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            self._known_texts.clear()
            results = [(item[1], None, error) for item in batch]
        for loop in {id(item[2]): item[2] for item in batch}.values():
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, results)

    async def _do(self, write: Callable[[sqlite3.Connection], T], *, is_single: bool = False) -> T:
        """`is_single` when the write is one statement, and so its own transaction when nothing else waits."""
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

    # Reading.

    async def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._reading, read)
        except sqlite3.Error as error:
            raise StoreError(f"The database could not be read: {error}.") from error
        except (msgspec.MsgspecError, zlib.error, KeyError, TypeError) as error:
            raise StoreError(
                f"A row of the database is damaged ({type(error).__name__}); restore it from a copy."
            ) from error

    def _reading(self, read: Callable[[sqlite3.Connection], T]) -> T:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            self._opened.append(connection)
        return read(connection)

    # Trees and deployments.

    async def put_tree(self, tree: Tree) -> None:
        files = codec.compress(msgspec.msgpack.encode(tree.files))
        values = {"hash": tree.hash, "files": files, "created_at": at(datetime.now(UTC))}
        await self._do(lambda c: c.execute(SQL["put_tree"], values) and None)

    async def get_tree(self, hash: str) -> Tree | None:
        row = await self._read(lambda c: c.execute(SQL["get_tree"], {"hash": hash}).fetchone())
        return (
            Tree(hash=hash, files=msgspec.msgpack.decode(codec.decompress(row[0]), type=dict[str, bytes]))
            if row
            else None
        )

    async def add_deployment(self, deployment: Deployment) -> None:
        values = {**msgspec.structs.asdict(deployment), "created_at": at(deployment.created_at)}
        await self._do(lambda c: c.execute(SQL["add_deployment"], values) and None)

    async def active_deployment(self, account_id: str, agent_id: str, environment: str) -> Deployment | None:
        values = {"account_id": account_id, "agent_id": agent_id, "environment": environment}
        row = await self._read(lambda c: c.execute(SQL["active_deployment"], values).fetchone())
        if row is None:
            return None
        id_, account, agent, env, tree, created = row
        return Deployment(
            id=id_, account_id=account, agent_id=agent, environment=env, tree=tree, created_at=moment(created)
        )

    async def accounts_of(self, agent_id: str) -> Sequence[str]:
        return await self._read(lambda c: [row[0] for row in c.execute(SQL["accounts_of"], {"agent_id": agent_id})])

    # Conversations.

    async def create(
        self,
        conversation: Conversation,
        turn: Turn,
        snapshot: Snapshot,
        *,
        work: Sequence[Work] = (),
        facts: Sequence[Fact] = (),
        reply: Reply | None = None,
    ) -> None:
        body, texts = codec.encode_turn(turn)
        packed = codec.encode_snapshot(snapshot)
        head = _head(conversation)

        def write(c: sqlite3.Connection) -> None:
            row = c.execute(SQL["add_conversation"], head).fetchone()
            if row is None:
                raise ConversationExists(
                    f"There is already a conversation {conversation.id!r}; leave conversationId out to get a new one."
                )
            self._put_turn(c, row[0], turn.index, body, texts, packed, snapshot.state)
            _put_rest(c, work, reply, facts)

        await self._do(write)

    async def append(
        self,
        conversation: Conversation,
        turn: Turn,
        snapshot: Snapshot,
        *,
        work: Sequence[Work] = (),
        facts: Sequence[Fact] = (),
        reply: Reply | None = None,
    ) -> None:
        body, texts = codec.encode_turn(turn)
        packed = codec.encode_snapshot(snapshot)
        values = {
            **_head(conversation),
            "expected": turn.index,
            "body": body,
            "state": snapshot.state if any(call.state_changes for call in turn.calls) else None,
            "snapshot_body": packed[0],
            "snapshot_state": packed[1],
            "snapshot_view": packed[2],
        }
        has_new_texts = not texts.keys() <= self._known_texts

        def write(c: sqlite3.Connection) -> None:
            # First, and asked again here: what was known when this write was queued may have been rolled back since.
            self._put_texts(c, texts)
            try:
                c.execute(SQL["append_turn"], values)
            except sqlite3.IntegrityError as error:
                raise PositionConflict(
                    f"Conversation {conversation.id!r} no longer stands at turn {turn.index}; the turn was not written."
                ) from error
            _put_rest(c, work, reply, facts)

        await self._do(write, is_single=not (has_new_texts or work or facts or reply))

    def _put_turn(
        self, c: sqlite3.Connection, number: int, position: int, body: bytes, texts: dict[str, bytes],
        packed: tuple[bytes, bytes, bytes], state: bytes | None,
    ) -> None:  # fmt: skip
        self._put_texts(c, texts)
        c.execute(SQL["add_turn"], {"conversation": number, "position": position, "body": body, "state": state})
        c.execute(
            SQL["put_snapshot"], {"conversation": number, "body": packed[0], "state": packed[1], "view": packed[2]}
        )

    def _put_texts(self, c: sqlite3.Connection, texts: dict[str, bytes]) -> None:
        new = texts.keys() - self._known_texts
        for hash_ in new:
            c.execute(SQL["put_text"], {"hash": hash_, "body": codec.compress(texts[hash_])})
        if new:
            if len(self._known_texts) > MAX_KNOWN_TEXTS:
                self._known_texts.clear()
            self._known_texts |= new

    async def end(self, conversation: Conversation, *, work: Sequence[Work] = ()) -> None:
        head = {**_head(conversation), "expected": conversation.turns}

        def write(c: sqlite3.Connection) -> None:
            if c.execute(SQL["advance_conversation"], head).fetchone() is None:
                raise PositionConflict(f"Conversation {conversation.id!r} went on or ended meanwhile.")
            _put_rest(c, work, None)

        await self._do(write)

    async def put_closing(
        self, conversation: Conversation, closing: Closing, *, work: Sequence[Work] = (), facts: Sequence[Fact] = ()
    ) -> None:
        body, texts = codec.encode_closing(closing)

        def write(c: sqlite3.Connection) -> None:
            self._put_texts(c, texts)
            c.execute(SQL["put_closing"], {"conversation": _number(c, conversation), "body": body})
            _put_rest(c, work, None, facts)

        await self._do(write)

    async def put_delivery(self, conversation: Conversation, delivery: Delivery) -> None:
        def write(c: sqlite3.Connection) -> None:
            values = {"message": delivery.message_id, "body": _encode(delivery)}
            c.execute(SQL["put_delivery"], {"conversation": _number(c, conversation), **values})

        await self._do(write)

    async def deliveries(self, conversation: Conversation) -> Sequence[Delivery]:
        def read(c: sqlite3.Connection) -> list[Delivery]:
            rows = c.execute(SQL["get_deliveries"], {"conversation": _number(c, conversation)})
            return [msgspec.json.decode(row[0], type=Delivery) for row in rows]

        return await self._read(read)

    async def get(self, account_id: str | None, agent_id: str, id: str) -> Conversation | None:
        name = "find_conversation" if account_id is not None else "find_conversation_anywhere"
        values = {"account_id": account_id, "agent_id": agent_id, "id": id}
        row = await self._read(lambda c: c.execute(SQL[name], values).fetchone())
        return msgspec.json.decode(row[1], type=Conversation) if row else None

    async def snapshot(self, conversation: Conversation) -> Snapshot:
        row = await self._read(
            lambda c: c.execute(SQL["get_snapshot"], {"conversation": _number(c, conversation)}).fetchone()
        )
        return codec.decode_snapshot(*row)

    async def turns(self, conversation: Conversation, *, first: int = 0) -> list[Turn]:
        def read(c: sqlite3.Connection) -> list[Turn]:
            rows = [
                codec.decode_turn(row[0])
                for row in c.execute(SQL["get_turns"], {"conversation": _number(c, conversation)})
            ]
            return codec.expand(rows, _texts(c, codec.references(rows)))

        return (await self._read(read))[first:]

    async def closing(self, conversation: Conversation) -> Closing | None:
        def read(c: sqlite3.Connection) -> Closing | None:
            row = c.execute(SQL["get_closing"], {"conversation": _number(c, conversation)}).fetchone()
            return codec.decode_closing(row[0], _texts(c, codec.closing_references(row[0]))) if row else None

        return await self._read(read)

    async def list(
        self, account_id: str | None, agent_id: str, *, limit: int, offset: int
    ) -> tuple[Sequence[Conversation], int]:
        values = {"account_id": account_id, "agent_id": agent_id, "limit": limit, "offset": offset}

        def read(c: sqlite3.Connection) -> tuple[list[Conversation], int]:
            page = [
                msgspec.json.decode(row[0], type=Conversation) for row in c.execute(SQL["list_conversations"], values)
            ]
            return page, c.execute(SQL["count_conversations"], values).fetchone()[0]

        return await self._read(read)

    async def reply(self, account_id: str, key: str, now: datetime) -> Reply | None:
        values = {"account_id": account_id, "key": key, "now": at(now)}
        row = await self._read(lambda c: c.execute(SQL["get_reply"], values).fetchone())
        if row is None:
            return None
        return Reply(
            account_id=account_id, key=key, fingerprint=row[0], status=row[1], body=row[2], expires_at=moment(row[3])
        )

    # Facts.

    async def put_fact(self, fact: Fact) -> None:
        await self._do(lambda c: _put_rest(c, (), None, (fact,)))

    async def get_fact(self, account_id: str, agent_id: str, kind: str, key: str, now: datetime) -> Fact | None:
        name = _fact_name(account_id, agent_id, kind, key)
        row = await self._read(lambda c: c.execute(SQL["get_fact"], {**name, "now": at(now)}).fetchone())
        if row is None:
            return None
        body, written, expires = row
        return Fact(
            **name,
            body=msgspec.json.decode(body),
            at=moment(written),
            expires_at=moment(expires) if expires is not None else None,
        )

    async def remove_fact(self, account_id: str, agent_id: str, kind: str, key: str) -> bool:
        name = _fact_name(account_id, agent_id, kind, key)
        return await self._do(lambda c: c.execute(SQL["remove_fact"], name).fetchone() is not None)

    # Keys.

    async def put_key(self, key: Key) -> None:
        await self._do(lambda c: c.execute(SQL["put_key"], {"id": key.id, "body": _encode(key)}) and None)

    async def keys(self) -> Sequence[Key]:
        return await self._read(lambda c: [msgspec.json.decode(row[0], type=Key) for row in c.execute(SQL["get_keys"])])

    # Background work.

    async def add_work(self, work: Sequence[Work]) -> None:
        await self._do(lambda c: _put_rest(c, work, None))

    async def remove_work(self, kind: str, key: str) -> None:
        await self._do(lambda c: c.execute(SQL["remove_work"], {"kind": kind, "key": key}) and None)

    async def claim_work(self, now: datetime, until: datetime, *, limit: int) -> Sequence[Claimed]:
        def write(c: sqlite3.Connection) -> list[Claimed]:
            found = []
            c.execute(SQL["expire_replies"], {"now": at(now)})
            c.execute(SQL["expire_facts"], {"now": at(now)})
            for kind, key, due, attempts, payload in c.execute(
                SQL["due_work"], {"now": at(now), "limit": limit}
            ).fetchall():
                lease = uuid.uuid4().hex
                c.execute(SQL["lease_work"], {"kind": kind, "key": key, "lease": lease, "until": at(until)})
                work = Work(
                    kind=kind, key=key, due_at=moment(due), attempts=attempts + 1, payload=msgspec.json.decode(payload)
                )
                found.append(Claimed(work=work, lease=lease))
            return found

        return await self._do(write)

    async def finish_work(self, claimed: Claimed) -> None:
        values = {"kind": claimed.work.kind, "key": claimed.work.key, "lease": claimed.lease}
        await self._do(lambda c: c.execute(SQL["finish_work"], values) and None)

    async def retry_work(self, claimed: Claimed, due_at: datetime) -> None:
        values = {"kind": claimed.work.kind, "key": claimed.work.key, "lease": claimed.lease, "due_at": at(due_at)}
        await self._do(lambda c: c.execute(SQL["retry_work"], values) and None)

    async def next_due(self) -> datetime | None:
        row = await self._read(lambda c: c.execute(SQL["next_due"]).fetchone())
        return moment(row[0]) if row and row[0] else None


def _written(connection: sqlite3.Connection, item: _Write) -> tuple[asyncio.Future[Any], Any, BaseException | None]:
    try:
        return item[1], item[0](connection), None
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


def _head(conversation: Conversation) -> dict[str, Any]:
    return {
        "account_id": conversation.account_id,
        "agent_id": conversation.agent_id,
        "id": conversation.id,
        "started_at": at(conversation.started_at),
        "turns": conversation.turns,
        "is_ended": conversation.is_ended,
        "head": _encode(conversation),
    }


def _fact_name(account_id: str, agent_id: str, kind: str, key: str) -> dict[str, str]:
    return {"account_id": account_id, "agent_id": agent_id, "kind": kind, "key": key}


def _number(c: sqlite3.Connection, conversation: Conversation) -> int:
    values = {"account_id": conversation.account_id, "agent_id": conversation.agent_id, "id": conversation.id}
    row = c.execute(SQL["find_conversation"], values).fetchone()
    if row is None:
        raise StoreError(f"Conversation {conversation.id!r} is not in the store.")
    number: int = row[0]
    return number


def _texts(c: sqlite3.Connection, hashes: set[str]) -> dict[str, bytes]:
    return {h: codec.decompress(c.execute(SQL["get_text"], {"hash": h}).fetchone()[0]) for h in hashes}


def _put_rest(c: sqlite3.Connection, work: Sequence[Work], reply: Reply | None, facts: Sequence[Fact] = ()) -> None:
    for fact in facts:
        c.execute(
            SQL["put_fact"],
            {
                **_fact_name(fact.account_id, fact.agent_id, fact.kind, fact.key),
                "body": _encode(fact.body),
                "at": at(fact.at),
                "expires_at": at(fact.expires_at) if fact.expires_at is not None else None,
            },
        )
    for item in work:
        values = {
            "kind": item.kind,
            "key": item.key,
            "due_at": at(item.due_at),
            "attempts": item.attempts,
            "payload": _encode(item.payload),
        }
        c.execute(SQL["add_work"], values)
    if reply is not None:
        c.execute(SQL["put_reply"], {**msgspec.structs.asdict(reply), "expires_at": at(reply.expires_at)})
