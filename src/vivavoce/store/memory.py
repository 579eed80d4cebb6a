"""The record in memory, for tests and trials. Keeps the stored form, so that what goes in comes out as from a disk."""

from __future__ import annotations

import hashlib
import random
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

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
    Text,
    Transcript,
)
from vivavoce.domain.tally import Part, Tally, added
from vivavoce.domain.words import words
from vivavoce.domain.work import Waiting, Work
from vivavoce.errors import ConversationExists
from vivavoce.store import codec, facets
from vivavoce.store.held import HeldClaims, OwnNews
from vivavoce.store.interface import Claim, Claimed, ClaimLost, PositionConflict, Reply, StoreError
from vivavoce.store.tables.connection import Refused

_Id = tuple[str, str, str]
_WorkId = tuple[str, str, Subject | None]

_decode_head = msgspec.json.Decoder(Conversation).decode


class _Kept:
    def __init__(self, conversation: Conversation) -> None:
        self.head = msgspec.json.encode(conversation)
        self.number = 0
        self.turns: list[tuple[bytes, bytes]] = []
        self.snapshot = b""
        self.review = Review()
        self.index: Index | None = None
        self.found_by: dict[str, frozenset[facets.Facet]] = {"head": facets.of_head(conversation)}
        self.closing: bytes | None = None
        self.deliveries: dict[str, Delivery] = {}
        self.is_tallied = False

    @property
    def conversation(self) -> Conversation:
        return _decode_head(self.head)


class MemoryStore:
    def __init__(self) -> None:
        self._trees: dict[str, Tree] = {}
        self._deployments: list[Deployment] = []
        self._conversations: dict[_Id, _Kept] = {}
        self._texts: dict[str, bytes] = {}
        self._replies: dict[tuple[str, str], Reply] = {}
        self._reply_subjects: dict[tuple[str, str], Subject] = {}
        self._fact_sources: dict[tuple[str, str, str, str], set[Subject]] = {}
        self._receipts: dict[str, ErasureReceipt] = {}
        self._audit: list[AuditRecord] = []
        self._facts: dict[tuple[str, str, str, str], Fact] = {}
        self._keys: dict[str, Key] = {}
        self._key_uses: dict[str, datetime] = {}
        self._work: dict[_WorkId, Work] = {}
        self._tallies: dict[tuple[str, str, Part, str, str], dict[str, int]] = {}
        self._leases: dict[_WorkId, tuple[str, datetime]] = {}
        self._claims = HeldClaims()
        self._news = OwnNews()

    async def open(self) -> None:
        if not self._audit:
            await self.append_audit(AuditEntry(at=datetime.now(UTC), action="log.begin", key_id="program"))

    async def close(self) -> None: ...

    async def put_tree(self, tree: Tree) -> None:
        self._trees.setdefault(tree.hash, tree)

    async def get_tree(self, hash: str) -> Tree | None:
        return self._trees.get(hash)

    async def add_deployment(self, deployment: Deployment) -> None:
        self._deployments.append(deployment)

    async def deployment(self, account_id: str, agent_id: str, id: str) -> Deployment | None:
        place = (account_id, agent_id, id)
        return next((d for d in self._deployments if (d.account_id, d.agent_id, d.id) == place), None)

    async def deployments(
        self, account_id: str, agent_id: str, environment: str, *, limit: int
    ) -> Sequence[Deployment]:
        place = (account_id, agent_id, environment)
        found = [d for d in self._deployments if (d.account_id, d.agent_id, d.environment) == place]
        newest = sorted(enumerate(found), key=lambda pair: (pair[1].created_at, pair[0]), reverse=True)
        return [deployment for _, deployment in newest[:limit]]

    async def remove_deployments(self, account_id: str, agent_id: str) -> None:
        self._deployments = [d for d in self._deployments if (d.account_id, d.agent_id) != (account_id, agent_id)]

    async def accounts_of(self, agent_id: str) -> Sequence[str]:
        return sorted({d.account_id for d in self._deployments if d.agent_id == agent_id})

    async def agents(self) -> Sequence[tuple[str, str]]:
        return sorted({(d.account_id, d.agent_id) for d in self._deployments}, key=lambda pair: pair[::-1])

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
        await self._check_claim(claim)
        if _id(conversation) in self._conversations:
            raise ConversationExists(
                f"There is already a conversation {conversation.id!r}; leave conversationId out to get a new one."
            )
        kept = self._conversations[_id(conversation)] = _Kept(conversation)
        kept.number = self._free_number(conversation.started_at)
        self._put(conversation, turn, snapshot, work, reply)
        await self._put_facts(facts)

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
        self._check(conversation, turn.index)
        await self._check_claim(claim)
        self._put(conversation, turn, snapshot, work, reply)
        await self._put_facts(facts)
        if claim is not None:
            await self.release(claim)

    async def _check_claim(self, claim: Claim | None) -> None:
        if claim is not None:
            try:
                await self._claims.check(None, claim.name, claim.token)
            except Refused as error:
                raise ClaimLost from error

    async def tell(self, news: str) -> None:
        await self._news.tell(news)

    async def listen(self, heard: Callable[[str | None], None]) -> None:
        await self._news.listen(heard)

    async def live(self, holder: str, seconds: float) -> None:
        await self._claims.live(holder, seconds)

    async def leave(self, holder: str) -> None:
        await self._claims.leave(holder)

    async def claim(self, holder: str, *name: str) -> Claim | None:
        key, token = "\0".join(name).encode(), secrets.randbits(62) | 1
        before = await self._claims.take(key, holder, token)
        return Claim(name=key, token=token, is_continued=before == holder) if before is not None else None

    async def keep(self, holder: str, claim: Claim) -> None:
        await self._claims.keep(claim.name, holder, claim.token)

    async def release(self, claim: Claim) -> None:
        await self._claims.release(claim.name, claim.token)

    def _check(self, conversation: Conversation, expected: int) -> None:
        kept = self._conversations.get(_id(conversation))
        if kept is None or kept.conversation.turns != expected or kept.conversation.is_ended:
            raise PositionConflict(
                f"Conversation {conversation.id!r} no longer stands at turn {expected}; the turn was not written."
            )

    def _put(
        self, conversation: Conversation, turn: Turn, snapshot: Snapshot, work: Sequence[Work], reply: Reply | None
    ) -> None:
        kept = self._conversations[_id(conversation)]
        said, body, texts = codec.encode_turn(turn)
        self._texts.update(texts)
        kept.turns.append((said, body))
        kept.snapshot = codec.encode_snapshot(snapshot)
        self._put_head(kept, conversation)
        self._add_work(work)
        if reply is not None:
            self._replies[reply.account_id, reply.key] = reply
            self._reply_subjects[reply.account_id, reply.key] = conversation.subject

    def _put_head(self, kept: _Kept, conversation: Conversation) -> None:
        kept.head = msgspec.json.encode(conversation)
        kept.found_by["head"] = facets.of_head(conversation)

    def _free_number(self, started_at: datetime) -> int:
        taken = {kept.number for kept in self._conversations.values()}
        number = (started_at - _EPOCH) // timedelta(microseconds=1)
        while number in taken:
            number += 1
        return number

    async def end(self, conversation: Conversation, *, work: Sequence[Work] = (), claim: Claim | None = None) -> None:
        await self._check_claim(claim)
        self._check(conversation, conversation.turns)
        self._put_head(self._conversations[_id(conversation)], conversation)
        self._add_work(work)

    async def put_closing(
        self,
        conversation: Conversation,
        closing: Closing,
        *,
        work: Sequence[Work] = (),
        facts: Sequence[Fact] = (),
        claim: Claim | None = None,
    ) -> None:
        await self._check_claim(claim)
        body, texts = codec.encode_closing(closing)
        self._texts.update(texts)
        self._kept(conversation).closing = body
        self._add_work(work)
        await self._put_facts(facts)

    async def put_delivery(self, conversation: Conversation, delivery: Delivery) -> None:
        self._kept(conversation).deliveries[delivery.message_id] = delivery

    async def deliveries(self, conversation: Conversation) -> Sequence[Delivery]:
        return [d for _, d in sorted(self._kept(conversation).deliveries.items())]

    async def _put_facts(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            await self.put_fact(fact)

    async def put_fact(self, fact: Fact) -> None:
        kept = replace(fact, body=msgspec.json.decode(msgspec.json.encode(fact.body)))
        name = (fact.account_id, fact.agent_id, fact.kind, fact.key)
        self._facts[name] = kept
        if fact.subject is not None:
            self._fact_sources.setdefault(name, set()).add(fact.subject)

    async def add_fact(self, fact: Fact) -> bool:
        if (fact.account_id, fact.agent_id, fact.kind, fact.key) in self._facts:
            return False
        await self.put_fact(fact)
        return True

    async def replace_fact(self, fact: Fact) -> bool:
        if (fact.account_id, fact.agent_id, fact.kind, fact.key) not in self._facts:
            return False
        await self.put_fact(fact)
        return True

    async def get_fact(self, account_id: str, agent_id: str, kind: str, key: str, now: datetime) -> Fact | None:
        found = self._facts.get((account_id, agent_id, kind, key))
        return None if found is None or (found.expires_at is not None and found.expires_at <= now) else found

    async def facts(self, account_id: str, agent_id: str, kind: str, now: datetime) -> list[dict[str, Any]]:
        return [
            fact.body
            for fact in self._facts.values()
            if (fact.account_id, fact.agent_id, fact.kind) == (account_id, agent_id, kind)
            and (fact.expires_at is None or fact.expires_at > now)
        ]

    async def remove_fact(self, account_id: str, agent_id: str, kind: str, key: str) -> bool:
        return self._facts.pop((account_id, agent_id, kind, key), None) is not None

    def _kept(self, conversation: Conversation) -> _Kept:
        kept = self._conversations.get(_id(conversation))
        if kept is None:
            raise StoreError(f"Conversation {conversation.id!r} is not in the store.")
        return kept

    async def get(self, account_id: str, agent_id: str, id: str) -> Conversation | None:
        kept = self._conversations.get((account_id, agent_id, id))
        return kept.conversation if kept is not None else None

    async def listed(self, account_id: str, agent_id: str, id: str) -> Listed | None:
        kept = self._conversations.get((account_id, agent_id, id))
        return Listed(conversation=kept.conversation, review=kept.review) if kept is not None else None

    async def snapshot(self, conversation: Conversation) -> Snapshot:
        return codec.decode_snapshot(self._kept(conversation).snapshot)

    async def turns(
        self, conversation: Conversation, *, first: int = 0, limit: int | None = None, has_history: bool = True
    ) -> list[Turn]:
        rows = [codec.decode_turn(said, body) for said, body in self._kept(conversation).turns]
        window = rows[first : None if limit is None else first + limit]
        earlier = [message for row in rows[:first] for message in row.turn.messages]
        return codec.expand(window, self._texts, earlier if has_history else None)

    async def transcripts(self, conversations: Sequence[Conversation]) -> list[Transcript]:
        found = []
        for conversation in conversations:
            kept = self._conversations.get(_id(conversation))
            found.append(
                codec.decode_transcript((said for said, _ in kept.turns), kept.snapshot, kept.closing)
                if kept is not None
                else Transcript(turns=[])
            )
        return found

    async def decide(
        self, conversation: Conversation, personal: Mapping[int, tuple[PersonalSpan, ...]], by: str
    ) -> None:
        kept = self._kept(conversation)
        for index, spans in personal.items():
            said, body = kept.turns[index]
            kept.turns[index] = (
                msgspec.json.encode(codec.decided(codec.decode_said(said), spans, by)),
                body,
            )

    async def hide(
        self, conversation: Conversation, index: int, change: Callable[[Sequence[PersonalSpan]], Sequence[PersonalSpan]]
    ) -> None:
        kept = self._kept(conversation)
        if index < len(kept.turns):
            said, body = kept.turns[index]
            kept.turns[index] = (msgspec.json.encode(codec.hidden(codec.decode_said(said), change)), body)

    async def amend(self, conversation: Conversation, index: int, change: Callable[[Turn], Turn]) -> None:
        kept = self._kept(conversation)
        if index < len(kept.turns):
            kept.turns[index] = codec.amended(*kept.turns[index], change)

    async def closing(self, conversation: Conversation) -> Closing | None:
        body = self._kept(conversation).closing
        return codec.decode_closing(body, self._texts) if body is not None else None

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
        ranked = []
        for kept in self._matching(account_id, agent_id, criteria):
            value = _value(kept, order)
            if value is not None:
                ranked.append(((value, kept.number), kept))
        ranked.sort(key=lambda entry: entry[0], reverse=order.is_descending)
        if after is not None:
            place = (after.value, after.number)
            ranked = [e for e in ranked if (e[0] < place if order.is_descending else e[0] > place)]
        page = ranked[offset : offset + limit]
        items = [Listed(conversation=kept.conversation, review=kept.review) for _, kept in page]
        is_last = not page or len(ranked) <= offset + limit
        return Page(items=items, next=None if is_last else Position(value=page[-1][0][0], number=page[-1][0][1]))

    async def count(self, account_id: str, agent_id: str, criteria: Criteria) -> Count:
        return Count(number=len(self._matching(account_id, agent_id, criteria)))

    def _matching(self, account_id: str, agent_id: str, criteria: Criteria) -> list[_Kept]:
        groups = facets.wanted(criteria)
        found = []
        for (account, agent, _), kept in self._conversations.items():
            if (account, agent) == (account_id, agent_id) and _holds(kept, criteria, groups):
                found.append(kept)
        return found

    async def sample(self, account_id: str, agent_id: str, criteria: Criteria, *, limit: int) -> list[Listed]:
        found = self._matching(account_id, agent_id, criteria)
        chosen = random.sample(found, min(limit, len(found)))
        return [Listed(conversation=kept.conversation, review=kept.review) for kept in chosen]

    async def put_index(self, conversation: Conversation, index: Index) -> None:
        kept = self._kept(conversation)
        kept.index = index
        kept.found_by["record"] = index.facets

    async def alike(
        self, account_id: str, agent_id: str, criteria: Criteria, asked: Meaning, *, limit: int, offset: int = 0
    ) -> list[tuple[Listed, float]]:
        ranked = []
        for kept in self._matching(account_id, agent_id, criteria):
            if kept.index is not None and kept.index.model == asked.model:
                vector = kept.index.redacted_vector if asked.is_redacted else kept.index.vector
                likeness = sum(a * b for a, b in zip(vector, asked.vector, strict=True))
                ranked.append((-likeness, kept.number, kept))
        ranked.sort(key=lambda entry: entry[:2])
        return [
            (Listed(conversation=kept.conversation, review=kept.review), -distance)
            for distance, _, kept in ranked[offset : offset + limit]
        ]

    async def revise(self, conversation: Conversation, change: Callable[[Review], Review]) -> Review:
        kept = self._kept(conversation)
        kept.review = change(kept.review)
        kept.found_by["review"] = facets.of_review(kept.review)
        return kept.review

    async def records(self, listed: Sequence[Listed]) -> list[Record | None]:
        return [await self._record(item) for item in listed]

    async def _record(self, listed: Listed) -> Record | None:
        conversation = listed.conversation
        if await self.get(conversation.account_id, conversation.agent_id, conversation.id) is None:
            return None
        return Record(
            conversation=conversation,
            turns=tuple(await self.turns(conversation)),
            state={k: msgspec.json.decode(v) for k, v in (await self.snapshot(conversation)).view.items()},
            closing=await self.closing(conversation),
            deliveries=tuple(await self.deliveries(conversation)),
            review=listed.review,
        )

    async def restore(self, record: Record, *, work: Sequence[Work] = ()) -> None:
        head = record.conversation
        snapshot = Snapshot(view={key: Raw(msgspec.json.encode(value)) for key, value in record.state.items()})
        await self.create(head, record.turns[0], snapshot)
        kept = self._kept(head)
        for turn in record.turns[1:]:
            said, body, texts = codec.encode_turn(turn)
            self._texts.update(texts)
            kept.turns.append((said, body))
        if record.closing is not None:
            await self.put_closing(head, record.closing)
        for delivery in record.deliveries:
            await self.put_delivery(head, delivery)
        await self.revise(head, lambda _: record.review)
        self._add_work(work)

    async def erase(self, conversation: Conversation, *, keeps: Sequence[str] = ()) -> dict[str, int]:
        kept = self._conversations.pop(_id(conversation), None)
        if kept is None:
            return {}
        facts = [
            name
            for name, sources in self._fact_sources.items()
            if conversation.subject in sources and name[2] not in keeps
        ]
        for sources in self._fact_sources.values():
            sources.discard(conversation.subject)
        for name in facts:
            self._facts.pop(name, None)
            del self._fact_sources[name]
        replies = [name for name, subject in self._reply_subjects.items() if subject == conversation.subject]
        for reply in replies:
            self._replies.pop(reply, None)
            del self._reply_subjects[reply]
        work = [place for place in self._work if place[2] == conversation.subject]
        for place in work:
            await self.remove_work(self._work[place])
        return {
            "turns": len(kept.turns),
            "facts": len(facts),
            "replies": len(replies),
            "work": len(work),
            "conversations": 1,
        }

    async def drop_turns(self, before: datetime) -> Sequence[str]:
        return []

    async def forget_details(self, conversation: Conversation) -> int:
        kept = self._kept(conversation)
        kept.turns = [codec.encode_row(codec.stripped(codec.decode_turn(said, body))) for said, body in kept.turns]
        kept.snapshot = codec.encode_snapshot(Snapshot())
        if kept.closing is not None:
            kept.closing = codec.stripped_closing(kept.closing)
        return len(kept.turns)

    async def expired_facts(self, account_id: str, agent_id: str, kind: str, before: datetime) -> int:
        place = (account_id, agent_id, kind)
        names = [name for name, fact in self._facts.items() if name[:3] == place and fact.at < before]
        for name in names:
            del self._facts[name]
        return len(names)

    async def cut_log(self) -> bool:
        return True

    async def put_receipt(self, receipt: ErasureReceipt) -> None:
        self._receipts[receipt.id] = receipt

    async def receipt(self, id: str) -> ErasureReceipt | None:
        return self._receipts.get(id)

    async def tally(self, conversation: Conversation, day: str, counts: Mapping[Part, Mapping[str, int]]) -> bool:
        kept = self._conversations.get(_id(conversation))
        if kept is None or kept.is_tallied:
            return False
        kept.is_tallied = True
        for part, more in counts.items():
            place = (conversation.account_id, conversation.agent_id, part, day, conversation.environment)
            self._tallies[place] = added((self._tallies.get(place, {}), more))
        return True

    async def tallies(self, account_id: str, agent_id: str, part: Part, first: str, last: str) -> list[Tally]:
        return [
            Tally(day=day, environment=environment, counts=dict(counts))
            for (account, agent, kind, day, environment), counts in sorted(self._tallies.items())
            if (account, agent, kind) == (account_id, agent_id, part) and first <= day <= last
        ]

    async def untallied(self, *, after: Position | None = None, limit: int) -> Page:
        kept = [k for k in self._conversations.values() if k.conversation.is_ended and not k.is_tallied]
        kept = [k for k in kept if after is None or k.number < after.number]
        kept.sort(key=lambda k: -k.number)
        items = [Listed(conversation=k.conversation, review=k.review) for k in kept[:limit]]
        return Page(items=items, next=Position(number=kept[limit - 1].number) if len(kept) > limit else None)

    async def size(self) -> int:
        kept = self._conversations.values()
        return sum(len(said) + len(body) for k in kept for said, body in k.turns) + sum(map(len, self._texts.values()))

    async def append_audit(self, entry: AuditEntry) -> None:
        before = self._audit[-1].hash if self._audit else ""
        hash_ = hashlib.sha256(before.encode() + msgspec.json.encode(entry)).hexdigest()
        self._audit.append(AuditRecord(number=len(self._audit) + 1, entry=entry, hash=hash_))

    async def audit(self, *, after: int = 0, limit: int) -> Sequence[AuditRecord]:
        return self._audit[after : after + limit]

    async def newest_audit(self, *, before: int | None, limit: int) -> Sequence[AuditRecord]:
        found = [record for record in self._audit if before is None or record.number < before]
        return found[::-1][:limit]

    async def verify_audit(self) -> Verdict:
        return Verdict(entries=len(self._audit), head=self._audit[-1].hash if self._audit else "")

    async def reply(self, account_id: str, key: str, now: datetime) -> Reply | None:
        found = self._replies.get((account_id, key))
        return found if found is not None and found.expires_at > now else None

    async def put_key(self, key: Key) -> None:
        self._keys[key.id] = key

    async def keys(self) -> Sequence[Key]:
        return [self._keys[id_] for id_ in sorted(self._keys)]

    async def put_key_use(self, key_id: str, used_at: datetime) -> None:
        self._key_uses[key_id] = max(used_at, self._key_uses.get(key_id, used_at))

    async def key_uses(self) -> dict[str, datetime]:
        return dict(self._key_uses)

    async def add_work(self, work: Sequence[Work]) -> None:
        self._add_work(work)

    def _add_work(self, work: Sequence[Work]) -> None:
        for item in work:
            self._work[_work_id(item)] = item
            self._leases.pop(_work_id(item), None)

    async def remove_work(self, work: Work) -> None:
        self._work.pop(_work_id(work), None)
        self._leases.pop(_work_id(work), None)

    async def claim_work(self, now: datetime, until: datetime, *, limit: int) -> Sequence[Claimed]:
        due = sorted((w for w in self._work.values() if w.due_at <= now), key=lambda w: w.due_at)
        found: list[Claimed] = []
        for work in due:
            place = _work_id(work)
            if len(found) == limit or (place in self._leases and self._leases[place][1] > now):
                continue
            lease = uuid.uuid4().hex
            self._leases[place] = (lease, until)
            self._work[place] = replace(work, attempts=work.attempts + 1)
            found.append(Claimed(work=self._work[place], lease=lease))
        return found

    def _holds(self, claimed: Claimed) -> bool:
        return self._leases.get(_work_id(claimed.work), ("",))[0] == claimed.lease

    async def finish_work(self, claimed: Claimed) -> None:
        if self._holds(claimed):
            await self.remove_work(claimed.work)

    async def retry_work(self, claimed: Claimed, due_at: datetime) -> None:
        if self._holds(claimed):
            place = _work_id(claimed.work)
            self._work[place] = replace(self._work[place], due_at=due_at)
            del self._leases[place]

    async def waiting(self, now: datetime) -> Sequence[Waiting]:
        kinds: dict[str, list[_WorkId]] = {}
        for id_ in self._work:
            kinds.setdefault(id_[0], []).append(id_)
        return [
            Waiting(
                kind=kind,
                count=len(ids),
                leased=sum(1 for id_ in ids if id_ in self._leases and self._leases[id_][1] > now),
                most_attempts=max(self._work[id_].attempts for id_ in ids),
                next_due=min(self._work[id_].due_at for id_ in ids),
            )
            for kind, ids in sorted(kinds.items())
        ]

    async def next_due(self) -> datetime | None:
        moments = [max(w.due_at, self._leases[k][1]) if k in self._leases else w.due_at for k, w in self._work.items()]
        return min(moments, default=None)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _holds(kept: _Kept, criteria: Criteria, groups: Sequence[facets.Group]) -> bool:
    head = kept.conversation
    has = frozenset[facets.Facet]().union(*kept.found_by.values())
    low, high = criteria.min_duration, criteria.max_duration
    if (low is not None or high is not None) and not head.is_ended:
        return False
    return (
        all(any(facet in has for facet in group) for group in groups)
        and (criteria.text is None or _says(kept, criteria.text))
        and (criteria.since is None or head.started_at >= criteria.since)
        and (criteria.until is None or head.started_at < criteria.until)
        and (low is None or head.seconds >= low)
        and (high is None or head.seconds <= high)
    )


def _says(kept: _Kept, text: Text) -> bool:
    if kept.index is None:
        return False
    index = kept.index
    sides = (index.redacted_user, index.redacted_agent) if text.is_redacted else (index.user, index.agent)
    chosen = {"user": sides[:1], "agent": sides[1:]}.get(text.role or "", sides)
    said = [f" {' | '.join(' '.join(words(line)) for line in side.splitlines())} " for side in chosen]
    return all(any(f" {' '.join(phrase)} " in side for side in said) for phrase in text.phrases)


def _value(kept: _Kept, order: Order) -> int | None:
    if order.by == "started_at":
        return 0
    if order.by == "score":
        return kept.review.score.value if kept.review.score is not None else None
    return kept.conversation.seconds if kept.conversation.is_ended else None


def _work_id(work: Work) -> _WorkId:
    return (work.kind, work.key, work.subject)


def _id(conversation: Conversation) -> _Id:
    return (conversation.account_id, conversation.agent_id, conversation.id)
