"""The record on SQLite, sealed: what a conversation said can be opened only with its own key."""

from __future__ import annotations

import hmac
import logging
import os
import sqlite3
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct

from vivavoce.domain.audit import AuditEntry, AuditRecord, Verdict
from vivavoce.domain.conversation import Closing, Conversation, Delivery, PersonalSpan, Snapshot, Subject, Turn
from vivavoce.domain.deployment import Deployment, Tree
from vivavoce.domain.erasure import Receipt as ErasureReceipt
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Key
from vivavoce.domain.record import (
    Count,
    Criteria,
    Index,
    Listed,
    Meaning,
    Order,
    Page,
    Position,
    Record,
    Review,
    Transcript,
)
from vivavoce.domain.work import Work
from vivavoce.errors import ConversationExists
from vivavoce.store import codec, facets
from vivavoce.store.interface import Claimed, PositionConflict, Reply, StoreError
from vivavoce.store.sealing import Keyring, Seal
from vivavoce.store.sqlite import auditing, carrying, erasing, finding, meaning, searching
from vivavoce.store.sqlite.database import Database
from vivavoce.store.sqlite.finding import microseconds
from vivavoce.store.statements import statements

log = logging.getLogger(__name__)

MAX_KNOWN_TEXTS = 200_000
MOST_PLACES = 8192
BLOCK = 1000  # numbers, within which conversations that began in one microsecond stand one after another
ROWS = 500  # conversations that are read by one statement

SQL = statements("sqlite")
_encode = msgspec.json.Encoder().encode
_decode_head = msgspec.json.Decoder(Conversation).decode
_decode_review = msgspec.json.Decoder(Review).decode
_decode_delivery = msgspec.json.Decoder(Delivery).decode
_Parts = dict[str, list[int]]  # what wrote facets -> the facets
_decode_parts = msgspec.msgpack.Decoder(_Parts).decode
_decode_files = msgspec.msgpack.Decoder(dict[str, bytes]).decode
_decode_receipt = msgspec.json.Decoder(ErasureReceipt).decode
_decode_key = msgspec.json.Decoder(Key).decode


def at(moment: datetime) -> str:
    """UTC with microseconds: texts that sort as their times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


class _Place(Struct, frozen=True):
    """Where a conversation lies, and what opens it."""

    number: int
    scope: int
    seal: Seal


class SqliteStore:
    def __init__(self, path: Path, keyring: Keyring) -> None:
        self._keyring = keyring
        self._known_texts: set[str] = set()
        self._places: OrderedDict[Subject, _Place] = OrderedDict()
        self._meanings: dict[tuple[int, str], meaning.Signs] = {}
        self._database = Database(
            path,
            migrate=lambda connection: carrying.migrate(connection, keyring, str(path)),
            rolled_back=self._known_texts.clear,
        )
        self._do, self._read = self._database.write, self._database.read

    # Life.

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        await self._database.close()

    # Trees and deployments.

    async def put_tree(self, tree: Tree) -> None:
        files = codec.compress(msgspec.msgpack.encode(tree.files))
        values = {"hash": tree.hash, "files": files, "created_at": at(datetime.now(UTC))}
        await self._do(lambda c: c.execute(SQL["put_tree"], values) and None)

    async def get_tree(self, hash: str) -> Tree | None:
        row = await self._read(lambda c: c.execute(SQL["get_tree"], {"hash": hash}).fetchone())
        return Tree(hash=hash, files=_decode_files(codec.decompress(row[0]))) if row else None

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
        wrapped, seal = self._keyring.make()
        values, texts = _sealed_turn(seal, turn, snapshot)
        head = seal.close(_encode(conversation), b"head")

        def write(c: sqlite3.Connection) -> None:
            place = self._add(c, conversation, wrapped, seal, head)
            self._put_texts(c, texts)
            c.execute(SQL["add_turn"], {"conversation": place.number, **values})
            c.execute(SQL["put_snapshot"], {"conversation": place.number, "body": values["snapshot"]})
            self._put_rest(c, place, conversation.subject, work, reply, facts)

        await self._do(write)

    def _add(
        self, c: sqlite3.Connection, conversation: Conversation, wrapped: bytes, seal: Seal, head: bytes
    ) -> _Place:
        """The row of a conversation, its key and what it is found by."""
        name = self._name(conversation.subject)
        if c.execute(SQL["has_name"], {"name": name}).fetchone() is not None:
            raise ConversationExists(
                f"There is already a conversation {conversation.id!r}; leave conversationId out to get a new one."
            )
        scope = _scope(c, conversation.account_id, conversation.agent_id)
        place = _Place(_free_number(c, microseconds(conversation.started_at)), scope, seal)
        values = {
            "number": place.number,
            "scope": scope,
            "name": name,
            "seal": c.execute(SQL["add_seal"], {"wrapped": wrapped}).fetchone()[0],
            "turns": conversation.turns,
            "is_ended": conversation.is_ended,
            "duration": conversation.seconds if conversation.is_ended else None,
            "dice": int.from_bytes(os.urandom(4), "big"),
            "head": head,
        }
        c.execute(SQL["add_conversation"], values)
        self._put_facets(c, place, "head", facets.of_head(conversation))
        return place

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
        place = await self._placed(conversation.subject)
        values, texts = _sealed_turn(place.seal, turn, snapshot)
        values.update(
            number=place.number,
            expected=turn.index,
            turns=conversation.turns,
            is_ended=conversation.is_ended,
            head=place.seal.close(_encode(conversation), b"head"),
        )
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
            if conversation.is_ended:
                self._put_end(c, place, conversation)
            self._put_rest(c, place, conversation.subject, work, reply, facts)

        is_single = not (has_new_texts or work or facts or reply or conversation.is_ended)
        await self._do(write, is_single=is_single)

    async def end(self, conversation: Conversation, *, work: Sequence[Work] = ()) -> None:
        place = await self._placed(conversation.subject)
        values = {
            "number": place.number,
            "expected": conversation.turns,
            "turns": conversation.turns,
            "is_ended": conversation.is_ended,
            "head": place.seal.close(_encode(conversation), b"head"),
        }

        def write(c: sqlite3.Connection) -> None:
            if c.execute(SQL["advance_conversation"], values).fetchone() is None:
                raise PositionConflict(f"Conversation {conversation.id!r} went on or ended meanwhile.")
            self._put_end(c, place, conversation)
            self._put_rest(c, place, conversation.subject, work)

        await self._do(write)

    def _put_end(self, c: sqlite3.Connection, place: _Place, conversation: Conversation) -> None:
        c.execute(SQL["set_duration"], {"number": place.number, "duration": conversation.seconds})
        self._put_facets(c, place, "head", facets.of_head(conversation))

    def _put_texts(self, c: sqlite3.Connection, texts: dict[str, bytes]) -> None:
        new = texts.keys() - self._known_texts
        for hash_ in new:
            c.execute(SQL["put_text"], {"hash": hash_, "body": codec.compress(texts[hash_])})
        if new:
            if len(self._known_texts) > MAX_KNOWN_TEXTS:
                self._known_texts.clear()
            self._known_texts |= new

    async def put_closing(
        self, conversation: Conversation, closing: Closing, *, work: Sequence[Work] = (), facts: Sequence[Fact] = ()
    ) -> None:
        place = await self._placed(conversation.subject)
        body, texts = codec.encode_closing(closing)
        sealed = place.seal.close(body, b"closing")

        def write(c: sqlite3.Connection) -> None:
            self._put_texts(c, texts)
            c.execute(SQL["put_closing"], {"conversation": place.number, "body": sealed})
            self._put_rest(c, place, conversation.subject, work, None, facts)

        await self._do(write)

    async def put_delivery(self, conversation: Conversation, delivery: Delivery) -> None:
        place = await self._placed(conversation.subject)
        values = {
            "conversation": place.number,
            "message": delivery.message_id,
            "body": place.seal.close(_encode(delivery), b"delivery:" + delivery.message_id.encode()),
        }
        await self._do(lambda c: c.execute(SQL["put_delivery"], values) and None)

    async def deliveries(self, conversation: Conversation) -> Sequence[Delivery]:
        place = await self._placed(conversation.subject)

        def read(c: sqlite3.Connection) -> list[Delivery]:
            rows = c.execute(SQL["get_deliveries"], {"conversation": place.number})
            return [_decode_delivery(place.seal.open(body, b"delivery:" + name.encode())) for name, body in rows]

        return await self._read(read)

    async def get(self, account_id: str, agent_id: str, id: str) -> Conversation | None:
        found = await self.listed(account_id, agent_id, id)
        return found.conversation if found is not None else None

    async def listed(self, account_id: str, agent_id: str, id: str) -> Listed | None:
        name = self._name(Subject(account_id, agent_id, id))
        row = await self._read(lambda c: c.execute(SQL["find_conversation"], {"name": name}).fetchone())
        if row is None:
            return None
        number, scope, wrapped, head, review = row
        seal = self._keyring.unwrap(wrapped)
        found = _listed(seal, head, review)
        self._remember(found.conversation.subject, _Place(number, scope, seal))
        return found

    async def snapshot(self, conversation: Conversation) -> Snapshot:
        place = await self._placed(conversation.subject)
        row = await self._read(lambda c: c.execute(SQL["get_snapshot"], {"conversation": place.number}).fetchone())
        return codec.decode_snapshot(place.seal.open(row[0], b"snapshot"))

    async def turns(self, conversation: Conversation, *, first: int = 0) -> list[Turn]:
        place = await self._placed(conversation.subject)

        def read(c: sqlite3.Connection) -> list[Turn]:
            rows = _turn_rows(c, place)
            return codec.expand(rows, _texts(c, codec.references(rows)))

        return (await self._read(read))[first:]

    async def transcripts(self, conversations: Sequence[Conversation]) -> list[Transcript]:
        def read(c: sqlite3.Connection) -> list[Transcript]:
            return [self._transcript(c, conversation.subject) for conversation in conversations]

        return await self._read(read)

    def _transcript(self, c: sqlite3.Connection, subject: Subject) -> Transcript:
        try:
            place = self._placed_by(c, subject)
        except StoreError:  # erased since the list was read
            return Transcript(turns=[])
        name = {"conversation": place.number}
        open_ = place.seal.open
        said = [open_(row, b"said:%d" % position) for position, row in c.execute(SQL["get_transcript"], name)]
        snapshot, closing = (
            c.execute(SQL["get_snapshot"], name).fetchone(),
            c.execute(SQL["get_closing"], name).fetchone(),
        )
        return codec.decode_transcript(
            said,
            open_(snapshot[0], b"snapshot") if snapshot is not None else None,
            open_(closing[0], b"closing") if closing is not None else None,
        )

    async def records(self, listed: Sequence[Listed]) -> list[Record | None]:
        def read(c: sqlite3.Connection) -> list[Record | None]:
            texts: dict[str, bytes] = {}  # that many of them share
            return [self._record(c, item, texts) for item in listed]

        return await self._read(read)

    def _record(self, c: sqlite3.Connection, listed: Listed, texts: dict[str, bytes]) -> Record | None:
        try:
            place = self._placed_by(c, listed.conversation.subject)
        except StoreError:  # erased since the list was read
            return None
        name, open_ = {"conversation": place.number}, place.seal.open
        rows = _turn_rows(c, place)
        snapshot = c.execute(SQL["get_snapshot"], name).fetchone()
        closing = c.execute(SQL["get_closing"], name).fetchone()
        after = open_(closing[0], b"closing") if closing is not None else None
        wanted = codec.references(rows) | (codec.closing_references(after) if after is not None else set())
        texts.update(_texts(c, wanted - texts.keys()))
        deliveries = c.execute(SQL["get_deliveries"], name)
        return Record(
            conversation=listed.conversation,
            turns=tuple(codec.expand(rows, texts)),
            state=codec.decode_state(open_(snapshot[0], b"snapshot")),
            closing=codec.decode_closing(after, texts) if after is not None else None,
            deliveries=tuple(_decode_delivery(open_(body, b"delivery:" + id.encode())) for id, body in deliveries),
            review=listed.review,
        )

    async def decide(
        self, conversation: Conversation, personal: Mapping[int, tuple[PersonalSpan, ...]], by: str
    ) -> None:
        place = await self._placed(conversation.subject)

        def write(c: sqlite3.Connection) -> None:
            rows = c.execute(SQL["get_transcript"], {"conversation": place.number}).fetchall()
            for position, sealed in rows:
                if position not in personal:
                    continue
                said = codec.decode_said(place.seal.open(sealed, b"said:%d" % position))
                body = _encode(msgspec.structs.replace(said, personal=personal[position], personal_by=by))
                values = {"conversation": place.number, "position": position}
                c.execute(SQL["put_said"], {**values, "said": place.seal.close(body, b"said:%d" % position)})

        await self._do(write)

    async def closing(self, conversation: Conversation) -> Closing | None:
        place = await self._placed(conversation.subject)

        def read(c: sqlite3.Connection) -> Closing | None:
            row = c.execute(SQL["get_closing"], {"conversation": place.number}).fetchone()
            if row is None:
                return None
            body = place.seal.open(row[0], b"closing")
            return codec.decode_closing(body, _texts(c, codec.closing_references(body)))

        return await self._read(read)

    # The record: what is found, and what is said about it.

    async def find(
        self,
        account_id: str,
        agent_id: str,
        criteria: Criteria,
        order: Order,
        *,
        limit: int,
        offset: int = 0,
        after: Position | None = None,
    ) -> Page:
        def read(c: sqlite3.Connection) -> Page:
            scope = _known_scope(c, account_id, agent_id)
            if scope is None:
                return Page(items=[], next=None)
            wanted = finding.matching(c, self._keyring, scope, criteria)
            found = finding.page(c, wanted, order, after, limit=limit + 1, offset=offset)
            items = self._read_listed(c, scope, [position.number for position in found[:limit]])
            return Page(items=items, next=found[limit - 1] if len(found) > limit else None)

        return await self._read(read)

    async def count(self, account_id: str, agent_id: str, criteria: Criteria) -> Count:
        def read(c: sqlite3.Connection) -> Count:
            scope = _known_scope(c, account_id, agent_id)
            if scope is None:
                return Count(number=0)
            return finding.count(c, finding.matching(c, self._keyring, scope, criteria))

        return await self._read(read)

    def _opened(self, number: int, scope: int, wrapped: bytes, head: bytes, review: bytes | None) -> Listed:
        seal = self._keyring.unwrap(wrapped)
        found = _listed(seal, head, review)
        self._remember(found.conversation.subject, _Place(number, scope, seal))
        return found

    async def sample(self, account_id: str, agent_id: str, criteria: Criteria, *, limit: int) -> list[Listed]:
        start = int.from_bytes(os.urandom(4), "big")

        def read(c: sqlite3.Connection) -> list[Listed]:
            scope = _known_scope(c, account_id, agent_id)
            if scope is None:
                return []
            wanted = finding.matching(c, self._keyring, scope, criteria)
            return self._read_listed(c, scope, finding.sample(c, wanted, start, limit))

        return await self._read(read)

    def _read_listed(self, c: sqlite3.Connection, scope: int, numbers: Sequence[int]) -> list[Listed]:
        """In that order; those that were erased meanwhile are left out."""
        rows = _rows(c, numbers)
        return [self._opened(number, scope, *rows[number]) for number in numbers if number in rows]

    async def put_index(self, conversation: Conversation, index: Index) -> None:
        place = await self._placed(conversation.subject)
        plain, redacted = meaning.packed(index.vector), meaning.packed(index.redacted_vector)

        def write(c: sqlite3.Connection) -> None:
            searching.put(c, self._keyring, place.number, place.scope, place.seal, index)
            self._put_facets(c, place, "record", index.facets)
            if index.model:
                values = {"number": place.number, "scope": place.scope, "model": index.model}
                c.execute(SQL["put_vectors"], {**values, "plain": plain, "redacted": redacted})
                self._note_vectors(place.scope, place.number, plain, redacted)

        await self._do(write)

    async def alike(
        self, account_id: str, agent_id: str, criteria: Criteria, asked: Meaning, *, limit: int, offset: int = 0
    ) -> list[tuple[Listed, float]]:
        column = "redacted" if asked.is_redacted else "plain"
        query = meaning.packed(asked.vector)

        def read(c: sqlite3.Connection) -> list[tuple[Listed, float]]:
            scope = _known_scope(c, account_id, agent_id)
            if scope is None:
                return []
            wanted = finding.matching(c, self._keyring, scope, criteria)
            near = self._signs(scope, column).nearest(c, scope, query, wanted.low, wanted.high)
            kept = finding.among(c, wanted, near)
            vectors: dict[int, bytes] = {}
            for start in range(0, len(kept), ROWS):
                some = ", ".join(str(number) for number in kept[start : start + ROWS])
                sql = f"SELECT conversation, {column} FROM vectors WHERE conversation IN ({some}) AND model = ?"
                vectors.update(c.execute(sql, (asked.model,)).fetchall())
            likeness = dict(zip(vectors, meaning.likeness(query, list(vectors.values())), strict=True))
            best = sorted(likeness, key=lambda number: (-likeness[number], number))[offset : offset + limit]
            listed = self._read_listed(c, scope, best)
            return list(zip(listed, (likeness[number] for number in best), strict=False))

        return await self._read(read)

    def _signs(self, scope: int, column: str) -> meaning.Signs:
        return self._meanings.setdefault((scope, column), meaning.Signs(column))

    def _note_vectors(self, scope: int, number: int, plain: bytes | None, redacted: bytes | None) -> None:
        for column, vector in (("plain", plain), ("redacted", redacted)):
            if (scope, column) in self._meanings:
                self._meanings[scope, column].note(number, vector)

    async def revise(self, conversation: Conversation, change: Callable[[Review], Review]) -> Review:
        place = await self._placed(conversation.subject)

        def write(c: sqlite3.Connection) -> Review:
            row = c.execute(SQL["get_review"], {"number": place.number}).fetchone()
            if row is None:
                raise _missing(conversation.subject)
            before = _decode_review(place.seal.open(row[0], b"review")) if row[0] is not None else Review()
            after = change(before)
            if after != before:
                self._put_review(c, place, after)
            return after

        return await self._do(write)

    def _put_review(self, c: sqlite3.Connection, place: _Place, review: Review) -> None:
        score = review.score.value if review.score is not None else None
        sealed = place.seal.close(_encode(review), b"review")
        c.execute(SQL["put_review"], {"number": place.number, "review": sealed, "score": score})
        self._put_facets(c, place, "review", facets.of_review(review))

    def _put_facets(self, c: sqlite3.Connection, place: _Place, part: str, wanted: frozenset[facets.Facet]) -> None:
        """Makes the facets that `part` gives the conversation these, and no others."""
        row = c.execute(SQL["get_facets"], {"number": place.number}).fetchone()
        parts: _Parts = _decode_parts(row[0])
        before = set(parts.get(part, ()))
        after = {self._keyring.facet(place.scope, name, value) for name, value in wanted}
        if before == after:
            return
        for facet in after - before:
            c.execute(SQL["add_facet"], {"facet": facet, "number": place.number})
        for facet in before - after:
            c.execute(SQL["remove_facet"], {"facet": facet, "number": place.number})
        parts[part] = sorted(after)
        c.execute(SQL["put_facets"], {"number": place.number, "facets": msgspec.msgpack.encode(parts)})

    async def restore(self, record: Record, *, work: Sequence[Work] = ()) -> None:
        conversation = record.conversation
        wrapped, seal = self._keyring.make()
        snapshot = Snapshot(view={key: Raw(_encode(value)) for key, value in record.state.items()})
        rows = [_sealed_turn(seal, turn, snapshot) for turn in record.turns]
        head = seal.close(_encode(conversation), b"head")
        closing, closing_texts = codec.encode_closing(record.closing) if record.closing is not None else (None, {})

        def write(c: sqlite3.Connection) -> None:
            place = self._add(c, conversation, wrapped, seal, head)
            name = {"conversation": place.number}
            for values, texts in rows:
                self._put_texts(c, texts)
                c.execute(SQL["add_turn"], {**name, **values})
            c.execute(SQL["put_snapshot"], {**name, "body": rows[-1][0]["snapshot"]})
            if closing is not None:
                self._put_texts(c, closing_texts)
                c.execute(SQL["put_closing"], {**name, "body": seal.close(closing, b"closing")})
            for d in record.deliveries:
                body = seal.close(_encode(d), b"delivery:" + d.message_id.encode())
                c.execute(SQL["put_delivery"], {**name, "message": d.message_id, "body": body})
            if record.review != Review():
                self._put_review(c, place, record.review)
            self._put_rest(c, place, conversation.subject, work)

        await self._do(write)

    # Erasure.

    async def erase(self, conversation: Conversation, *, keeps: Sequence[str] = ()) -> dict[str, int]:
        subject = conversation.subject
        name = self._name(subject)

        def write(c: sqlite3.Connection) -> dict[str, int]:
            row = c.execute(SQL["find_conversation"], {"name": name}).fetchone()
            removed = erasing.erase(c, self._keyring, row[0], name, keeps) if row is not None else {}
            self._places.pop(subject, None)
            if row is not None:
                self._note_vectors(row[1], row[0], None, None)
            return removed

        return await self._do(write)

    async def forget_details(self, conversation: Conversation) -> int:
        place = await self._placed(conversation.subject)

        def write(c: sqlite3.Connection) -> int:
            rows = c.execute(SQL["get_bodies"], {"conversation": place.number}).fetchall()
            for position, said, body in rows:
                row = codec.decode_turn(
                    place.seal.open(said, b"said:%d" % position), place.seal.open(body, b"body:%d" % position)
                )
                stripped = place.seal.close(codec.encode_row(codec.stripped(row))[1], b"body:%d" % position)
                c.execute(SQL["strip_turn"], {"conversation": place.number, "position": position, "body": stripped})
            empty = place.seal.close(codec.encode_snapshot(Snapshot()), b"snapshot")
            c.execute(SQL["put_snapshot"], {"conversation": place.number, "body": empty})
            closing = c.execute(SQL["get_closing"], {"conversation": place.number}).fetchone()
            if closing is not None:
                kept = codec.stripped_closing(place.seal.open(closing[0], b"closing"))
                c.execute(
                    SQL["put_closing"], {"conversation": place.number, "body": place.seal.close(kept, b"closing")}
                )
            return len(rows)

        return await self._do(write)

    async def expired_facts(self, account_id: str, agent_id: str, kind: str, before: datetime) -> int:
        def write(c: sqlite3.Connection) -> int:
            values = {"scope": _known_scope(c, account_id, agent_id), "kind": kind, "before": at(before)}
            names = c.execute(SQL["facts_before"], values).fetchall()
            return sum(erasing.remove_fact(c, name) for (name,) in names)

        return await self._do(write)

    async def cut_log(self) -> bool:
        return await self._database.cut_log()

    async def put_receipt(self, receipt: ErasureReceipt) -> None:
        values = {"id": receipt.id, "body": _encode(receipt)}
        await self._do(lambda c: c.execute(SQL["put_receipt"], values) and None)

    async def receipt(self, id: str) -> ErasureReceipt | None:
        row = await self._read(lambda c: c.execute(SQL["get_receipt"], {"id": id}).fetchone())
        return _decode_receipt(row[0]) if row is not None else None

    # Audit.

    async def append_audit(self, entry: AuditEntry) -> None:
        await self._do(lambda c: auditing.append(c, self._keyring, entry))

    async def audit(self, *, after: int = 0, limit: int) -> Sequence[AuditRecord]:
        return await self._read(lambda c: auditing.entries(c, after, limit))

    async def verify_audit(self) -> Verdict:
        return await self._read(lambda c: auditing.verify(c, self._keyring))

    async def reply(self, account_id: str, key: str, now: datetime) -> Reply | None:
        values = {"name": self._keyring.name("reply", account_id, key), "now": at(now)}
        row = await self._read(lambda c: c.execute(SQL["get_reply"], values).fetchone())
        if row is None:
            return None
        _, wrapped, fingerprint, status, body, expires = row
        return Reply(
            account_id=account_id,
            key=key,
            fingerprint=fingerprint,
            status=status,
            body=self._keyring.unwrap(wrapped).open(body, b"reply"),
            expires_at=moment(expires),
        )

    # Facts.

    async def put_fact(self, fact: Fact) -> None:
        await self._do(lambda c: self._put_fact(c, fact))

    def _put_fact(self, c: sqlite3.Connection, fact: Fact) -> None:
        """A fact that came from a conversation is sealed under a key of its own, since it may outlive that one."""
        name = self._fact_name(fact.account_id, fact.agent_id, fact.kind, fact.key)
        body, number = _encode(fact.body), None
        if fact.subject is not None:
            known = c.execute(SQL["seal_of_fact"], {"name": name}).fetchone()
            if known is not None:
                number, seal = known[0], self._keyring.unwrap(known[1])
            else:
                wrapped, seal = self._keyring.make()
                number = c.execute(SQL["add_seal"], {"wrapped": wrapped}).fetchone()[0]
            body = seal.close(body, b"fact")
        values = {
            "name": name,
            "scope": _scope(c, fact.account_id, fact.agent_id),
            "kind": fact.kind,
            "seal": number,
            "body": body,
            "at": at(fact.at),
            "expires_at": at(fact.expires_at) if fact.expires_at is not None else None,
        }
        c.execute(SQL["put_fact"], values)
        if fact.subject is not None:
            c.execute(SQL["add_fact_source"], {"conversation": self._name(fact.subject), "fact": name})

    async def get_fact(self, account_id: str, agent_id: str, kind: str, key: str, now: datetime) -> Fact | None:
        values = {"name": self._fact_name(account_id, agent_id, kind, key), "now": at(now)}
        row = await self._read(lambda c: c.execute(SQL["get_fact"], values).fetchone())
        if row is None:
            return None
        body, written, expires, wrapped = row
        if wrapped is not None:
            body = self._keyring.unwrap(wrapped).open(body, b"fact")
        return Fact(
            account_id=account_id,
            agent_id=agent_id,
            kind=kind,
            key=key,
            body=msgspec.json.decode(body),
            at=moment(written),
            expires_at=moment(expires) if expires is not None else None,
        )

    async def replace_fact(self, fact: Fact) -> bool:
        name = self._fact_name(fact.account_id, fact.agent_id, fact.kind, fact.key)

        def write(c: sqlite3.Connection) -> bool:
            if c.execute(SQL["has_fact"], {"name": name}).fetchone() is None:
                return False
            self._put_fact(c, fact)
            return True

        return await self._do(write)

    async def remove_fact(self, account_id: str, agent_id: str, kind: str, key: str) -> bool:
        name = self._fact_name(account_id, agent_id, kind, key)
        return await self._do(lambda c: erasing.remove_fact(c, name))

    # Keys.

    async def put_key(self, key: Key) -> None:
        body = _encode(key)
        values = {"id": key.id, "body": body, "proof": self._keyring.proof(b"key", body)}
        await self._do(lambda c: c.execute(SQL["put_key"], values) and None)

    async def keys(self) -> Sequence[Key]:
        rows = await self._read(lambda c: c.execute(SQL["get_keys"]).fetchall())
        found = []
        for id_, body, proof in rows:
            key = _decode_key(body)
            if proof is None or not hmac.compare_digest(proof, self._keyring.proof(b"key", body)) or key.id != id_:
                log.error("an API key in the database was not made by this program; it is not taken: id=%s", key.id)
            else:
                found.append(key)
        return found

    async def put_key_use(self, key_id: str, used_at: datetime) -> None:
        await self._do(lambda c: c.execute(SQL["put_key_use"], {"key": key_id, "at": at(used_at)}) and None)

    async def key_uses(self) -> dict[str, datetime]:
        return await self._read(lambda c: {key: moment(used) for key, used in c.execute(SQL["get_key_uses"])})

    # Background work.

    async def add_work(self, work: Sequence[Work]) -> None:
        await self._do(lambda c: self._add_work(c, work))

    def _add_work(self, c: sqlite3.Connection, work: Sequence[Work], place: _Place | None = None) -> None:
        for item in work:
            values = {
                **self._work_name(c, item, place),
                "due_at": at(item.due_at),
                "attempts": item.attempts,
                "payload": _encode(item.payload),
            }
            c.execute(SQL["add_work"], values)

    def _work_name(self, c: sqlite3.Connection, work: Work, place: _Place | None = None) -> dict[str, Any]:
        number = 0
        if work.subject is not None:
            number = (place or self._placed_by(c, work.subject)).number
        return {"kind": work.kind, "key": work.key, "conversation": number}

    async def remove_work(self, work: Work) -> None:
        await self._do(lambda c: c.execute(SQL["remove_work"], self._work_name(c, work)) and None)

    async def claim_work(self, now: datetime, until: datetime, *, limit: int) -> Sequence[Claimed]:
        def write(c: sqlite3.Connection) -> list[Claimed]:
            c.execute(SQL["expire_replies"], {"now": at(now)})
            for (name,) in c.execute(SQL["expired_facts"], {"now": at(now)}).fetchall():
                erasing.remove_fact(c, name)
            found = []
            for row in c.execute(SQL["due_work"], {"now": at(now), "limit": limit}).fetchall():
                kind, key, number, due, attempts, payload, head, wrapped = row
                subject = None
                if head is not None:
                    subject = _decode_head(self._keyring.unwrap(wrapped).open(head, b"head")).subject
                work = Work(
                    kind=kind,
                    key=key,
                    subject=subject,
                    due_at=moment(due),
                    attempts=attempts + 1,
                    payload=msgspec.json.decode(payload),
                )
                lease = uuid.uuid4().hex
                names = {"kind": kind, "key": key, "conversation": number}
                c.execute(SQL["lease_work"], {**names, "lease": lease, "until": at(until)})
                found.append(Claimed(work=work, lease=lease))
            return found

        return await self._do(write)

    async def finish_work(self, claimed: Claimed) -> None:
        await self._settle(claimed, "finish_work", {})

    async def retry_work(self, claimed: Claimed, due_at: datetime) -> None:
        await self._settle(claimed, "retry_work", {"due_at": at(due_at)})

    async def _settle(self, claimed: Claimed, statement: str, values: dict[str, Any]) -> None:
        def write(c: sqlite3.Connection) -> None:
            try:
                name = self._work_name(c, claimed.work)
            except StoreError:
                return  # the conversation was erased meanwhile, and its work with it
            c.execute(SQL[statement], {**name, "lease": claimed.lease, **values})

        await self._do(write)

    async def next_due(self) -> datetime | None:
        row = await self._read(lambda c: c.execute(SQL["next_due"]).fetchone())
        return moment(row[0]) if row and row[0] else None

    # Where things lie.

    def _name(self, subject: Subject) -> bytes:
        return self._keyring.name("conversation", subject.account_id, subject.agent_id, subject.id)

    def _fact_name(self, account_id: str, agent_id: str, kind: str, key: str) -> bytes:
        return self._keyring.name("fact", account_id, agent_id, kind, key)

    async def _placed(self, subject: Subject) -> _Place:
        known = self._places.get(subject)
        return known if known is not None else await self._read(lambda c: self._placed_by(c, subject))

    def _placed_by(self, c: sqlite3.Connection, subject: Subject) -> _Place:
        known = self._places.get(subject)
        if known is not None:
            return known
        row = c.execute(SQL["find_conversation"], {"name": self._name(subject)}).fetchone()
        if row is None:
            raise _missing(subject)
        place = _Place(row[0], row[1], self._keyring.unwrap(row[2]))
        self._remember(subject, place)
        return place

    def _remember(self, subject: Subject, place: _Place) -> None:
        self._places[subject] = place
        while len(self._places) > MOST_PLACES:
            self._places.popitem(last=False)

    def _put_rest(
        self,
        c: sqlite3.Connection,
        place: _Place,
        subject: Subject,
        work: Sequence[Work],
        reply: Reply | None = None,
        facts: Sequence[Fact] = (),
    ) -> None:
        for fact in facts:
            self._put_fact(c, fact)
        self._add_work(c, [w for w in work if w.subject == subject], place)
        self._add_work(c, [w for w in work if w.subject != subject])
        if reply is not None:
            values = {
                "name": self._keyring.name("reply", reply.account_id, reply.key),
                "conversation": place.number,
                "fingerprint": reply.fingerprint,
                "status": reply.status,
                "body": place.seal.close(reply.body, b"reply"),
                "expires_at": at(reply.expires_at),
            }
            c.execute(SQL["put_reply"], values)


def _sealed_turn(seal: Seal, turn: Turn, snapshot: Snapshot) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The values of a turn's rows, and the author texts that it refers to."""
    said, body, texts = codec.encode_turn(turn)
    has_changed = turn.index == 0 or any(call.state_changes for call in turn.calls)
    values = {
        "position": turn.index,
        "said": seal.close(said, b"said:%d" % turn.index),
        "body": seal.close(body, b"body:%d" % turn.index),
        "state": seal.close(snapshot.state, b"state:%d" % turn.index) if has_changed else None,
        "snapshot": seal.close(codec.encode_snapshot(snapshot), b"snapshot"),
    }
    return values, texts


def _turn_rows(c: sqlite3.Connection, place: _Place) -> list[codec.Row]:
    open_ = place.seal.open
    return [
        codec.decode_turn(open_(said, b"said:%d" % position), open_(body, b"body:%d" % position))
        for position, said, body in c.execute(SQL["get_turns"], {"conversation": place.number})
    ]


def _listed(seal: Seal, head: bytes, review: bytes | None) -> Listed:
    conversation = _decode_head(seal.open(head, b"head"))
    if review is None:
        return Listed(conversation=conversation)
    return Listed(conversation=conversation, review=_decode_review(seal.open(review, b"review")))


def _rows(c: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, tuple[bytes, bytes, bytes | None]]:
    """number -> (wrapped key, head, review)."""
    found = {}
    for start in range(0, len(numbers), ROWS):
        some = ", ".join(str(number) for number in numbers[start : start + ROWS])
        sql = f"SELECT c.number, s.wrapped, c.head, c.review FROM conversations c JOIN seals s ON s.number = c.seal WHERE c.number IN ({some})"  # noqa: S608  # integers
        for number, *row in c.execute(sql):
            found[number] = tuple(row)
    return found


def _scope(c: sqlite3.Connection, account_id: str, agent_id: str) -> int:
    found = _known_scope(c, account_id, agent_id)
    if found is None:
        c.execute(SQL["add_scope"], {"account_id": account_id, "agent_id": agent_id})
        found = _known_scope(c, account_id, agent_id)
    assert found is not None
    return found


def _known_scope(c: sqlite3.Connection, account_id: str, agent_id: str) -> int | None:
    row = c.execute(SQL["find_scope"], {"account_id": account_id, "agent_id": agent_id}).fetchone()
    return row[0] if row is not None else None


def _free_number(c: sqlite3.Connection, wanted: int) -> int:
    while True:
        sql = "SELECT max(number) FROM conversations WHERE number BETWEEN ? AND ?"
        (last,) = c.execute(sql, (wanted, wanted + BLOCK - 1)).fetchone()
        if last is None:
            return wanted
        if last < wanted + BLOCK - 1:
            return int(last) + 1
        wanted += BLOCK


def _missing(subject: Subject) -> StoreError:
    return StoreError(f"Conversation {subject.id!r} is not in the store.")


def _texts(c: sqlite3.Connection, hashes: set[str]) -> dict[str, bytes]:
    return {h: codec.decompress(c.execute(SQL["get_text"], {"hash": h}).fetchone()[0]) for h in hashes}
