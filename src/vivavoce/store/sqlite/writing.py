"""The record, written: each write is one transaction, and stands or falls alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from vivavoce.domain.conversation import Closing, Conversation, Delivery, PersonalSpan, Snapshot, Subject, Turn
from vivavoce.domain.fact import Fact
from vivavoce.domain.record import (
    Index,
    Record,
    Review,
)
from vivavoce.domain.work import Work
from vivavoce.errors import ConversationExists
from vivavoce.store import codec, facets
from vivavoce.store.interface import PositionConflict, Reply
from vivavoce.store.sealing import Seal
from vivavoce.store.sqlite import erasing, meaning, searching
from vivavoce.store.sqlite.facts import FactRows
from vivavoce.store.sqlite.finding import microseconds
from vivavoce.store.sqlite.places import (
    SQL,
    Place,
    at,
    encode,
    free_number,
    missing,
    scope_of,
)
from vivavoce.store.sqlite.reading import Reading
from vivavoce.store.sqlite.working import WorkRows

MAX_KNOWN_TEXTS = 200_000
_Parts = dict[str, list[int]]  # what wrote facets -> the facets
_decode_parts = msgspec.msgpack.Decoder(_Parts).decode
_decode_review = msgspec.json.Decoder(Review).decode


class Writing(FactRows, WorkRows, Reading):
    """What a conversation says is sealed under its own key."""

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
        head = seal.close(encode(conversation), b"head")

        def write(c: sqlite3.Connection) -> None:
            place = self._add(c, conversation, wrapped, seal, head)
            self._put_texts(c, texts)
            c.execute(SQL["add_turn"], {"conversation": place.number, **values})
            c.execute(SQL["put_snapshot"], {"conversation": place.number, "body": values["snapshot"]})
            self._put_rest(c, place, conversation.subject, work, reply, facts)

        await self._do(write)

    def _add(self, c: sqlite3.Connection, conversation: Conversation, wrapped: bytes, seal: Seal, head: bytes) -> Place:
        """The row of a conversation, its key and what it is found by."""
        name = self._name(conversation.subject)
        if c.execute(SQL["has_name"], {"name": name}).fetchone() is not None:
            raise ConversationExists(
                f"There is already a conversation {conversation.id!r}; leave conversationId out to get a new one."
            )
        scope = scope_of(c, conversation.account_id, conversation.agent_id)
        place = Place(free_number(c, microseconds(conversation.started_at)), scope, seal)
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
            head=place.seal.close(encode(conversation), b"head"),
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
            "head": place.seal.close(encode(conversation), b"head"),
        }

        def write(c: sqlite3.Connection) -> None:
            if c.execute(SQL["advance_conversation"], values).fetchone() is None:
                raise PositionConflict(f"Conversation {conversation.id!r} went on or ended meanwhile.")
            self._put_end(c, place, conversation)
            self._put_rest(c, place, conversation.subject, work)

        await self._do(write)

    def _put_end(self, c: sqlite3.Connection, place: Place, conversation: Conversation) -> None:
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
            "body": place.seal.close(encode(delivery), b"delivery:" + delivery.message_id.encode()),
        }
        await self._do(lambda c: c.execute(SQL["put_delivery"], values) and None)

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
                body = encode(codec.decided(said, personal[position], by))
                values = {"conversation": place.number, "position": position}
                c.execute(SQL["put_said"], {**values, "said": place.seal.close(body, b"said:%d" % position)})

        await self._do(write)

    async def hide(
        self, conversation: Conversation, index: int, change: Callable[[Sequence[PersonalSpan]], Sequence[PersonalSpan]]
    ) -> None:
        place = await self._placed(conversation.subject)

        def write(c: sqlite3.Connection) -> None:
            values: dict[str, Any] = {"conversation": place.number, "position": index}
            row = c.execute(SQL["get_turn"], values).fetchone()
            if row is not None:
                said = codec.decode_said(place.seal.open(row[0], b"said:%d" % index))
                body = encode(codec.hidden(said, change))
                c.execute(SQL["put_said"], {**values, "said": place.seal.close(body, b"said:%d" % index)})

        await self._do(write)

    async def amend(self, conversation: Conversation, index: int, change: Callable[[Turn], Turn]) -> None:
        place = await self._placed(conversation.subject)

        def write(c: sqlite3.Connection) -> None:
            values: dict[str, Any] = {"conversation": place.number, "position": index}
            row = c.execute(SQL["get_turn"], values).fetchone()
            if row is None:
                return
            said, body = codec.amended(
                place.seal.open(row[0], b"said:%d" % index), place.seal.open(row[1], b"body:%d" % index), change
            )
            values.update(
                said=place.seal.close(said, b"said:%d" % index), body=place.seal.close(body, b"body:%d" % index)
            )
            c.execute(SQL["put_turn"], values)

        await self._do(write)

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

    def _note_vectors(self, scope: int, number: int, plain: bytes | None, redacted: bytes | None) -> None:
        for column, vector in (("plain", plain), ("redacted", redacted)):
            if (scope, column) in self._meanings:
                self._meanings[scope, column].note(number, vector)

    async def revise(self, conversation: Conversation, change: Callable[[Review], Review]) -> Review:
        place = await self._placed(conversation.subject)

        def write(c: sqlite3.Connection) -> Review:
            row = c.execute(SQL["get_review"], {"number": place.number}).fetchone()
            if row is None:
                raise missing(conversation.subject)
            before = _decode_review(place.seal.open(row[0], b"review")) if row[0] is not None else Review()
            after = change(before)
            if after != before:
                self._put_review(c, place, after)
            return after

        return await self._do(write)

    def _put_review(self, c: sqlite3.Connection, place: Place, review: Review) -> None:
        score = review.score.value if review.score is not None else None
        sealed = place.seal.close(encode(review), b"review")
        c.execute(SQL["put_review"], {"number": place.number, "review": sealed, "score": score})
        self._put_facets(c, place, "review", facets.of_review(review))

    def _put_facets(self, c: sqlite3.Connection, place: Place, part: str, wanted: frozenset[facets.Facet]) -> None:
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
        snapshot = Snapshot(view={key: Raw(encode(value)) for key, value in record.state.items()})
        rows = [_sealed_turn(seal, turn, snapshot) for turn in record.turns]
        head = seal.close(encode(conversation), b"head")
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
                body = seal.close(encode(d), b"delivery:" + d.message_id.encode())
                c.execute(SQL["put_delivery"], {**name, "message": d.message_id, "body": body})
            if record.review != Review():
                self._put_review(c, place, record.review)
            self._put_rest(c, place, conversation.subject, work)

        await self._do(write)

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

    def _put_rest(
        self,
        c: sqlite3.Connection,
        place: Place,
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
