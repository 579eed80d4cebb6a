"""The record, written: each write is one transaction, and stands or falls alone."""

from __future__ import annotations

import os
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
from vivavoce.store.interface import Claim, ClaimLost, PositionConflict, Reply
from vivavoce.store.sealing import Seal
from vivavoce.store.tables import erasing, vectors
from vivavoce.store.tables.connection import Connection, Refused
from vivavoce.store.tables.facts import FactRows
from vivavoce.store.tables.matching import microseconds
from vivavoce.store.tables.places import Place, encode, free_number, missing, scope_of
from vivavoce.store.tables.reading import Reading
from vivavoce.store.tables.working import WorkRows

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
        claim: Claim | None = None,
    ) -> None:
        wrapped, seal = self._keyring.make()
        values, texts = _sealed_turn(seal, turn, snapshot)
        head = seal.close(encode(conversation), b"head")

        async def write(c: Connection) -> None:
            await self._check(c, claim)
            place = await self._add(c, conversation, wrapped, seal, head)
            await self._put_texts(c, texts)
            await c.run("add_turn", {"conversation": place.number, **values})
            await c.run("put_snapshot", {"conversation": place.number, "body": values["snapshot"]})
            await self._put_rest(c, place, conversation.subject, work, reply, facts)

        await self._do(write)
        self._know(texts)

    async def _add(self, c: Connection, conversation: Conversation, wrapped: bytes, seal: Seal, head: bytes) -> Place:
        """The row of a conversation, its key and what it is found by."""
        name = self._name(conversation.subject)
        if await c.one("has_name", {"name": name}) is not None:
            raise ConversationExists(
                f"There is already a conversation {conversation.id!r}; leave conversationId out to get a new one."
            )
        scope = await scope_of(c, conversation.account_id, conversation.agent_id)
        place = Place(await free_number(c, microseconds(conversation.started_at)), scope, seal)
        added = await c.one("add_seal", {"wrapped": wrapped})
        assert added is not None
        values = {
            "number": place.number,
            "scope": scope,
            "name": name,
            "seal": added[0],
            "turns": conversation.turns,
            "is_ended": conversation.is_ended,
            "duration": conversation.seconds if conversation.is_ended else None,
            "dice": int.from_bytes(os.urandom(4), "big"),
            "head": head,
        }
        await c.run("add_conversation", values)
        await self._put_facets(c, place, "head", facets.of_head(conversation))
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
        claim: Claim | None = None,
    ) -> None:
        place = await self._placed(conversation.subject)
        values, texts = _sealed_turn(place.seal, turn, snapshot)
        values.update(
            number=place.number,
            expected=turn.index,
            turns=conversation.turns,
            is_ended=conversation.is_ended,
            head=place.seal.close(encode(conversation), b"head"),
            claim=claim.name if claim is not None else None,
            token=claim.token if claim is not None else None,
        )
        has_new_texts = not texts.keys() <= self._known_texts

        async def write(c: Connection) -> None:
            await self._put_texts(c, texts)
            if claim is not None and not self._engine.appends_check:
                await self._check(c, claim)
            try:
                await c.run("append_turn", values)
            except Refused as error:
                raise PositionConflict(
                    f"Conversation {conversation.id!r} no longer stands at turn {turn.index}, or is another process's; "
                    "the turn was not written."
                ) from error
            if conversation.is_ended:
                await self._put_end(c, place, conversation)
            await self._put_rest(c, place, conversation.subject, work, reply, facts)

        is_single = not (has_new_texts or work or facts or reply or conversation.is_ended)
        try:
            await self._do(write, is_single=is_single)
        except PositionConflict:
            self._places.pop(conversation.subject, None)  # it may have gone, and come again as another one
            raise
        self._know(texts)
        if claim is not None and not self._engine.appends_check:
            await self._engine.claims.release(claim.name, claim.token)

    async def end(self, conversation: Conversation, *, work: Sequence[Work] = (), claim: Claim | None = None) -> None:
        place = await self._placed(conversation.subject)
        values = {
            "number": place.number,
            "expected": conversation.turns,
            "turns": conversation.turns,
            "is_ended": conversation.is_ended,
            "head": place.seal.close(encode(conversation), b"head"),
        }

        async def write(c: Connection) -> None:
            await self._check(c, claim)
            if await c.one("advance_conversation", values) is None:
                raise PositionConflict(f"Conversation {conversation.id!r} went on or ended meanwhile.")
            await self._put_end(c, place, conversation)
            await self._put_rest(c, place, conversation.subject, work)

        await self._do(write)

    async def _check(self, c: Connection, claim: Claim | None) -> None:
        if claim is not None:
            try:
                await self._engine.claims.check(c, claim.name, claim.token)
            except Refused as error:
                raise ClaimLost from error

    async def _put_end(self, c: Connection, place: Place, conversation: Conversation) -> None:
        await c.run("set_duration", {"number": place.number, "duration": conversation.seconds})
        await self._put_facets(c, place, "head", facets.of_head(conversation))

    async def _put_texts(self, c: Connection, texts: dict[str, bytes]) -> None:
        new = sorted(texts.keys() - self._known_texts)  # in one order, so that no two writers wait for each other
        await c.each("put_text", [{"hash": hash_, "body": codec.compress(texts[hash_])} for hash_ in new])

    def _know(self, texts: dict[str, bytes]) -> None:
        """They are on the disk: said only then."""
        if len(self._known_texts) > MAX_KNOWN_TEXTS:
            self._known_texts.clear()
        self._known_texts |= texts.keys()

    async def put_closing(
        self,
        conversation: Conversation,
        closing: Closing,
        *,
        work: Sequence[Work] = (),
        facts: Sequence[Fact] = (),
        claim: Claim | None = None,
    ) -> None:
        place = await self._placed(conversation.subject)
        body, texts = codec.encode_closing(closing)
        sealed = place.seal.close(body, b"closing")

        async def write(c: Connection) -> None:
            await self._check(c, claim)
            await self._put_texts(c, texts)
            await c.run("put_closing", {"conversation": place.number, "body": sealed})
            await self._put_rest(c, place, conversation.subject, work, None, facts)

        await self._do(write)
        self._know(texts)

    async def put_delivery(self, conversation: Conversation, delivery: Delivery) -> None:
        place = await self._placed(conversation.subject)
        values = {
            "conversation": place.number,
            "message": delivery.message_id,
            "body": place.seal.close(encode(delivery), b"delivery:" + delivery.message_id.encode()),
        }
        await self._do(lambda c: c.run("put_delivery", values))

    async def decide(
        self, conversation: Conversation, personal: Mapping[int, tuple[PersonalSpan, ...]], by: str
    ) -> None:
        place = await self._placed(conversation.subject)

        async def write(c: Connection) -> None:
            await c.one("hold_conversation", {"number": place.number})
            rows = await c.all("get_transcript", {"conversation": place.number})
            for position, sealed in rows:
                if position not in personal:
                    continue
                said = codec.decode_said(place.seal.open(sealed, b"said:%d" % position))
                body = encode(codec.decided(said, personal[position], by))
                values = {"conversation": place.number, "position": position}
                await c.run("put_said", {**values, "said": place.seal.close(body, b"said:%d" % position)})

        await self._do(write)

    async def hide(
        self, conversation: Conversation, index: int, change: Callable[[Sequence[PersonalSpan]], Sequence[PersonalSpan]]
    ) -> None:
        place = await self._placed(conversation.subject)

        async def write(c: Connection) -> None:
            values: dict[str, Any] = {"conversation": place.number, "position": index}
            await c.one("hold_conversation", {"number": place.number})
            row = await c.one("get_turn", values)
            if row is not None:
                said = codec.decode_said(place.seal.open(row[0], b"said:%d" % index))
                body = encode(codec.hidden(said, change))
                await c.run("put_said", {**values, "said": place.seal.close(body, b"said:%d" % index)})

        await self._do(write)

    async def amend(self, conversation: Conversation, index: int, change: Callable[[Turn], Turn]) -> None:
        place = await self._placed(conversation.subject)

        async def write(c: Connection) -> None:
            values: dict[str, Any] = {"conversation": place.number, "position": index}
            await c.one("hold_conversation", {"number": place.number})
            row = await c.one("get_turn", values)
            if row is None:
                return
            said, body = codec.amended(
                place.seal.open(row[0], b"said:%d" % index), place.seal.open(row[1], b"body:%d" % index), change
            )
            values.update(
                said=place.seal.close(said, b"said:%d" % index), body=place.seal.close(body, b"body:%d" % index)
            )
            await c.run("put_turn", values)

        await self._do(write)

    async def put_index(self, conversation: Conversation, index: Index) -> None:
        place = await self._placed(conversation.subject)
        plain, redacted = vectors.packed(index.vector), vectors.packed(index.redacted_vector)

        async def write(c: Connection) -> None:
            await c.one("hold_conversation", {"number": place.number})
            await self._engine.words.put(c, place.number, place.scope, place.seal, index)
            await self._put_facets(c, place, "record", index.facets)
            if index.model:
                await self._engine.meanings.put(c, place.number, place.scope, index.model, plain, redacted)

        await self._do(write)
        if index.model:
            self._engine.meanings.note(place.scope, place.number, plain, redacted)

    async def revise(self, conversation: Conversation, change: Callable[[Review], Review]) -> Review:
        place = await self._placed(conversation.subject)

        async def write(c: Connection) -> Review:
            await c.one("hold_conversation", {"number": place.number})
            row = await c.one("get_review", {"number": place.number})
            if row is None:
                raise missing(conversation.subject)
            before = _decode_review(place.seal.open(row[0], b"review")) if row[0] is not None else Review()
            after = change(before)
            if after != before:
                await self._put_review(c, place, after)
            return after

        return await self._do(write)

    async def _put_review(self, c: Connection, place: Place, review: Review) -> None:
        score = review.score.value if review.score is not None else None
        sealed = place.seal.close(encode(review), b"review")
        await c.run("put_review", {"number": place.number, "review": sealed, "score": score})
        await self._put_facets(c, place, "review", facets.of_review(review))

    async def _put_facets(self, c: Connection, place: Place, part: str, wanted: frozenset[facets.Facet]) -> None:
        """Makes the facets that `part` gives the conversation these, and no others."""
        number = place.number
        row = await c.one("get_facets", {"number": number})
        if row is None:
            return  # erased meanwhile
        parts: _Parts = _decode_parts(row[0])
        before = set(parts.get(part, ()))
        after = {self._keyring.facet(place.scope, name, value) for name, value in wanted}
        if before == after:
            return
        await c.each("add_facet", [{"facet": facet, "number": number} for facet in sorted(after - before)])
        await c.each("remove_facet", [{"facet": facet, "number": number} for facet in sorted(before - after)])
        parts[part] = sorted(after)
        await c.run("put_facets", {"number": number, "facets": msgspec.msgpack.encode(parts)})

    async def restore(self, record: Record, *, work: Sequence[Work] = ()) -> None:
        conversation = record.conversation
        wrapped, seal = self._keyring.make()
        snapshot = Snapshot(view={key: Raw(encode(value)) for key, value in record.state.items()})
        rows = [_sealed_turn(seal, turn, snapshot) for turn in record.turns]
        head = seal.close(encode(conversation), b"head")
        closing, closing_texts = codec.encode_closing(record.closing) if record.closing is not None else (None, {})

        async def write(c: Connection) -> None:
            place = await self._add(c, conversation, wrapped, seal, head)
            name = {"conversation": place.number}
            for values, texts in rows:
                await self._put_texts(c, texts)
                await c.run("add_turn", {**name, **values})
            await c.run("put_snapshot", {**name, "body": rows[-1][0]["snapshot"]})
            if closing is not None:
                await self._put_texts(c, closing_texts)
                await c.run("put_closing", {**name, "body": seal.close(closing, b"closing")})
            for d in record.deliveries:
                body = seal.close(encode(d), b"delivery:" + d.message_id.encode())
                await c.run("put_delivery", {**name, "message": d.message_id, "body": body})
            if record.review != Review():
                await self._put_review(c, place, record.review)
            await self._put_rest(c, place, conversation.subject, work)

        await self._do(write)
        for _, texts in rows:
            self._know(texts)

    async def erase(self, conversation: Conversation, *, keeps: Sequence[str] = ()) -> dict[str, int]:
        subject = conversation.subject
        name = self._name(subject)

        async def write(c: Connection) -> tuple[int, int, dict[str, int]] | None:
            row = await c.one("find_conversation", {"name": name})
            if row is None:
                return None
            await c.one("hold_conversation", {"number": row[0]})
            return row[0], row[1], await erasing.erase(c, self._engine.words, row[0], name, keeps)

        erased = await self._do(write)
        self._places.pop(subject, None)
        if erased is None:
            return {}
        number, scope, removed = erased
        self._engine.meanings.note(scope, number, None, None)
        return removed

    async def forget_details(self, conversation: Conversation) -> int:
        place = await self._placed(conversation.subject)
        name, open_, close = {"conversation": place.number}, place.seal.open, place.seal.close

        async def write(c: Connection) -> int:
            await c.one("hold_conversation", {"number": place.number})
            rows = await c.all("get_bodies", name)
            for position, said, body in rows:
                row = codec.decode_turn(open_(said, b"said:%d" % position), open_(body, b"body:%d" % position))
                stripped = close(codec.encode_row(codec.stripped(row))[1], b"body:%d" % position)
                await c.run("strip_turn", {**name, "position": position, "body": stripped})
            empty = close(codec.encode_snapshot(Snapshot()), b"snapshot")
            await c.run("put_snapshot", {**name, "body": empty})
            closing = await c.one("get_closing", name)
            if closing is not None:
                kept = codec.stripped_closing(open_(closing[0], b"closing"))
                await c.run("put_closing", {**name, "body": close(kept, b"closing")})
            return len(rows)

        return await self._do(write)

    async def _put_rest(
        self,
        c: Connection,
        place: Place,
        subject: Subject,
        work: Sequence[Work],
        reply: Reply | None = None,
        facts: Sequence[Fact] = (),
    ) -> None:
        for fact in facts:
            await self._put_fact(c, fact)
        await self._add_work(c, [w for w in work if w.subject == subject], place)
        await self._add_work(c, [w for w in work if w.subject != subject])
        if reply is not None:
            values = {
                "name": self._keyring.name("reply", reply.account_id, reply.key),
                "conversation": place.number,
                "fingerprint": reply.fingerprint,
                "status": reply.status,
                "body": place.seal.close(reply.body, b"reply"),
                "expires_at": reply.expires_at,
            }
            await c.run("put_reply", values)


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
