"""The record, read: one conversation, many, and what is found."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from vivavoce.domain.conversation import Closing, Conversation, Delivery, Snapshot, Subject, Turn
from vivavoce.domain.record import (
    Count,
    Criteria,
    Listed,
    Meaning,
    Order,
    Page,
    Position,
    Record,
    Review,
    Transcript,
)
from vivavoce.store import codec
from vivavoce.store.interface import StoreError
from vivavoce.store.sealing import Seal
from vivavoce.store.tables import vectors
from vivavoce.store.tables.connection import DAMAGED, Connection
from vivavoce.store.tables.matching import LAST
from vivavoce.store.tables.places import Place, Placed, known_scope, missing

log = logging.getLogger(__name__)

ROWS = 500  # conversations that are read by one statement
TEXTS, TEXTS_STEP = 128, 16

_decode_head = msgspec.json.Decoder(Conversation).decode
_decode_review = msgspec.json.Decoder(Review).decode
_decode_delivery = msgspec.json.Decoder(Delivery).decode


class Reading(Placed):
    """What a conversation said is opened with its own key."""

    async def get(self, account_id: str, agent_id: str, id: str) -> Conversation | None:
        found = await self.listed(account_id, agent_id, id)
        return found.conversation if found is not None else None

    async def listed(self, account_id: str, agent_id: str, id: str) -> Listed | None:
        name = self._name(Subject(account_id, agent_id, id))
        row = await self._read(lambda c: c.one("find_conversation", {"name": name}))
        if row is None:
            return None
        number, scope, wrapped, head, review = row
        seal = self._keyring.unwrap(wrapped)
        found = listed_of(seal, head, review)
        self._remember(found.conversation.subject, Place(number, scope, seal))
        return found

    async def snapshot(self, conversation: Conversation) -> Snapshot:
        place = await self._placed(conversation.subject)
        row = await self._read(lambda c: c.one("get_snapshot", {"conversation": place.number}))
        if row is None:
            raise missing(conversation.subject)
        return codec.decode_snapshot(place.seal.open(row[0], b"snapshot"))

    async def turns(
        self, conversation: Conversation, *, first: int = 0, limit: int | None = None, has_history: bool = True
    ) -> list[Turn]:
        place = await self._placed(conversation.subject)
        last = LAST if limit is None else first + limit - 1

        async def read(c: Connection) -> list[Turn]:
            rows = await turn_rows(c, place, 0 if has_history else first, last)
            before = first if has_history else 0
            earlier = [message for row in rows[:before] for message in row.turn.messages] if has_history else None
            return codec.expand(rows[before:], await texts_of(c, codec.references(rows[before:])), earlier)

        return await self._read(read)

    async def transcripts(self, conversations: Sequence[Conversation]) -> list[Transcript]:
        async def read(c: Connection) -> list[Transcript]:
            return [await self._transcript(c, conversation.subject) for conversation in conversations]

        return await self._read(read)

    async def _transcript(self, c: Connection, subject: Subject) -> Transcript:
        try:
            place = await self._placed_by(c, subject)
        except StoreError:  # erased since the list was read
            return Transcript(turns=[])
        name = {"conversation": place.number}
        open_ = place.seal.open
        said = [open_(row, b"said:%d" % position) for position, row in await c.all("get_transcript", name)]
        snapshot, closing = await c.one("get_snapshot", name), await c.one("get_closing", name)
        return codec.decode_transcript(
            said,
            open_(snapshot[0], b"snapshot") if snapshot is not None else None,
            open_(closing[0], b"closing") if closing is not None else None,
        )

    async def records(self, listed: Sequence[Listed]) -> list[Record | None]:
        async def read(c: Connection) -> list[Record | None]:
            texts: dict[str, bytes] = {}  # that many of them share
            return [await self._record(c, item, texts) for item in listed]

        return await self._read(read)

    async def _record(self, c: Connection, listed: Listed, texts: dict[str, bytes]) -> Record | None:
        try:
            place = await self._placed_by(c, listed.conversation.subject)
        except StoreError:  # erased since the list was read
            return None
        name, open_ = {"conversation": place.number}, place.seal.open
        rows = await turn_rows(c, place)
        snapshot = await c.one("get_snapshot", name)
        closing = await c.one("get_closing", name)
        if snapshot is None:  # erased meanwhile
            return None
        after = open_(closing[0], b"closing") if closing is not None else None
        wanted = codec.references(rows) | (codec.closing_references(after) if after is not None else set())
        texts.update(await texts_of(c, wanted - texts.keys()))
        deliveries = await c.all("get_deliveries", name)
        return Record(
            conversation=listed.conversation,
            turns=tuple(codec.expand(rows, texts)),
            state=codec.decode_state(open_(snapshot[0], b"snapshot")),
            closing=codec.decode_closing(after, texts) if after is not None else None,
            deliveries=tuple(_decode_delivery(open_(body, b"delivery:" + id.encode())) for id, body in deliveries),
            review=listed.review,
        )

    async def closing(self, conversation: Conversation) -> Closing | None:
        place = await self._placed(conversation.subject)

        async def read(c: Connection) -> Closing | None:
            row = await c.one("get_closing", {"conversation": place.number})
            if row is None:
                return None
            body = place.seal.open(row[0], b"closing")
            return codec.decode_closing(body, await texts_of(c, codec.closing_references(body)))

        return await self._read(read)

    async def deliveries(self, conversation: Conversation) -> Sequence[Delivery]:
        place = await self._placed(conversation.subject)

        async def read(c: Connection) -> list[Delivery]:
            rows = await c.all("get_deliveries", {"conversation": place.number})
            return [_decode_delivery(place.seal.open(body, b"delivery:" + name.encode())) for name, body in rows]

        return await self._read(read)

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
        finding = self._engine.finding

        async def read(c: Connection) -> Page:
            scope = await known_scope(c, account_id, agent_id)
            if scope is None:
                return Page(items=[], next=None)
            wanted = await finding.matching(c, scope, criteria)
            found = await finding.page(c, wanted, order, after, limit=limit + 1, offset=offset)
            items = await self._read_listed(c, scope, [position.number for position in found[:limit]])
            return Page(items=items, next=found[limit - 1] if len(found) > limit else None)

        return await self._read(read)

    async def count(self, account_id: str, agent_id: str, criteria: Criteria) -> Count:
        finding = self._engine.finding

        async def read(c: Connection) -> Count:
            scope = await known_scope(c, account_id, agent_id)
            if scope is None:
                return Count(number=0)
            return await finding.count(c, await finding.matching(c, scope, criteria))

        return await self._read(read)

    async def sample(self, account_id: str, agent_id: str, criteria: Criteria, *, limit: int) -> list[Listed]:
        start = int.from_bytes(os.urandom(4), "big")

        finding = self._engine.finding

        async def read(c: Connection) -> list[Listed]:
            scope = await known_scope(c, account_id, agent_id)
            if scope is None:
                return []
            wanted = await finding.matching(c, scope, criteria)
            return await self._read_listed(c, scope, await finding.sample(c, wanted, start, limit))

        return await self._read(read)

    async def _read_listed(self, c: Connection, scope: int, numbers: Sequence[int]) -> list[Listed]:
        """In that order; those that were erased meanwhile are left out, and so is one whose row is damaged: all others are
        shown, and whoever asks for it is told."""
        rows = await _rows(c, numbers)
        found = []
        for number in numbers:
            try:
                if number in rows:
                    found.append(self._opened(number, scope, *rows[number]))
            except (StoreError, *DAMAGED) as error:
                log.error(
                    "a conversation is damaged, and left out of lists: number=%d %s", number, type(error).__name__
                )
        return found

    def _opened(self, number: int, scope: int, wrapped: bytes, head: bytes, review: bytes | None) -> Listed:
        seal = self._keyring.unwrap(wrapped)
        found = listed_of(seal, head, review)
        self._remember(found.conversation.subject, Place(number, scope, seal))
        return found

    async def alike(
        self, account_id: str, agent_id: str, criteria: Criteria, asked: Meaning, *, limit: int, offset: int = 0
    ) -> list[tuple[Listed, float]]:
        column = "redacted" if asked.is_redacted else "plain"
        query = vectors.packed(asked.vector)
        finding, meanings = self._engine.finding, self._engine.meanings

        async def read(c: Connection) -> list[tuple[Listed, float]]:
            scope = await known_scope(c, account_id, agent_id)
            if scope is None:
                return []
            wanted = await finding.matching(c, scope, criteria)
            near = await meanings.nearest(c, scope, column, query, wanted.low, wanted.high)
            kept = await finding.among(c, wanted, near)
            found: dict[int, bytes] = {}
            for start in range(0, len(kept), ROWS):
                some = ", ".join(str(number) for number in kept[start : start + ROWS])
                sql = f"SELECT conversation, {column} FROM vectors WHERE conversation IN ({some}) AND model = :model"
                found.update((row[0], row[1]) for row in await c.select(sql, {"model": asked.model}))
            likeness = dict(zip(found, vectors.likeness(query, list(found.values())), strict=True))
            best = sorted(likeness, key=lambda number: (-likeness[number], number))[offset : offset + limit]
            listed = await self._read_listed(c, scope, best)
            return list(zip(listed, (likeness[number] for number in best), strict=False))

        return await self._read(read)


async def turn_rows(c: Connection, place: Place, first: int = 0, last: int = LAST) -> list[codec.Row]:
    open_ = place.seal.open
    values = {"conversation": place.number, "first": first, "last": last}
    found = await c.all("get_turns", values)
    for (before, *_), (position, *_) in pairwise(found):
        if position != before + 1:
            raise StoreError(f"Turn {before + 1} of a conversation is missing; restore it from a copy.")
    return [
        codec.decode_turn(open_(said, b"said:%d" % position), open_(body, b"body:%d" % position))
        for position, said, body in found
    ]


def listed_of(seal: Seal, head: bytes, review: bytes | None) -> Listed:
    conversation = _decode_head(seal.open(head, b"head"))
    if review is None:
        return Listed(conversation=conversation)
    return Listed(conversation=conversation, review=_decode_review(seal.open(review, b"review")))


async def _rows(c: Connection, numbers: Sequence[int]) -> dict[int, tuple[bytes, bytes, bytes | None]]:
    """number -> (wrapped key, head, review)."""
    found = {}
    for start in range(0, len(numbers), ROWS):
        some = ", ".join(str(number) for number in numbers[start : start + ROWS])
        sql = f"SELECT c.number, s.wrapped, c.head, c.review FROM conversations c JOIN seals s ON s.number = c.seal WHERE c.number IN ({some})"  # noqa: S608  # integers
        for number, wrapped, head, review in await c.select(sql):
            found[number] = (wrapped, head, review)
    return found


async def texts_of(c: Connection, hashes: set[str]) -> dict[str, bytes]:
    """Author texts by hash. Few numbers of places, so that engines that keep statements prepared keep few."""
    found: dict[str, bytes] = {}
    left = sorted(hashes)
    while left:
        some, left = left[:TEXTS], left[TEXTS:]
        some += some[-1:] * (-len(some) % TEXTS_STEP)
        values = {f"t{n}": hash_ for n, hash_ in enumerate(some)}
        sql = f"SELECT hash, body FROM texts WHERE hash IN ({', '.join(f':{name}' for name in values)})"  # noqa: S608  # names of values
        found.update({hash_: codec.decompress(body) for hash_, body in await c.select(sql, values)})
    return found
