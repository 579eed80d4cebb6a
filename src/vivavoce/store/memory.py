"""The record in memory, for tests and trials. Keeps the stored form, so that what goes in comes out as from a disk."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from vivavoce.domain.conversation import Closing, Conversation, Delivery, Snapshot, Turn
from vivavoce.domain.deployment import Deployment, Tree
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Key
from vivavoce.domain.work import Work
from vivavoce.errors import ConversationExists
from vivavoce.store import codec
from vivavoce.store.interface import Claimed, PositionConflict, Reply, StoreError

_Id = tuple[str, str, str]


class _Kept:
    def __init__(self, conversation: Conversation) -> None:
        self.head = msgspec.json.encode(conversation)
        self.turns: list[bytes] = []
        self.snapshot: tuple[bytes, bytes, bytes] = (b"", b"", b"")
        self.closing: bytes | None = None
        self.deliveries: dict[str, Delivery] = {}

    @property
    def conversation(self) -> Conversation:
        return msgspec.json.decode(self.head, type=Conversation)


class MemoryStore:
    def __init__(self) -> None:
        self._trees: dict[str, Tree] = {}
        self._deployments: list[Deployment] = []
        self._conversations: dict[_Id, _Kept] = {}
        self._texts: dict[str, bytes] = {}
        self._replies: dict[tuple[str, str], Reply] = {}
        self._facts: dict[tuple[str, str, str, str], Fact] = {}
        self._keys: dict[str, Key] = {}
        self._work: dict[tuple[str, str], Work] = {}
        self._leases: dict[tuple[str, str], tuple[str, datetime]] = {}

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def put_tree(self, tree: Tree) -> None:
        self._trees.setdefault(tree.hash, tree)

    async def get_tree(self, hash: str) -> Tree | None:
        return self._trees.get(hash)

    async def add_deployment(self, deployment: Deployment) -> None:
        self._deployments.append(deployment)

    async def active_deployment(self, account_id: str, agent_id: str, environment: str) -> Deployment | None:
        found = [
            d
            for d in self._deployments
            if (d.account_id, d.agent_id, d.environment) == (account_id, agent_id, environment)
        ]
        return max(enumerate(found), key=lambda pair: (pair[1].created_at, pair[0]))[1] if found else None

    async def accounts_of(self, agent_id: str) -> Sequence[str]:
        return sorted({d.account_id for d in self._deployments if d.agent_id == agent_id})

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
        if _id(conversation) in self._conversations:
            raise ConversationExists(
                f"There is already a conversation {conversation.id!r}; leave conversationId out to get a new one."
            )
        self._conversations[_id(conversation)] = _Kept(conversation)
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
    ) -> None:
        self._check(conversation, turn.index)
        self._put(conversation, turn, snapshot, work, reply)
        await self._put_facts(facts)

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
        body, texts = codec.encode_turn(turn)
        self._texts.update(texts)
        kept.turns.append(body)
        kept.snapshot = codec.encode_snapshot(snapshot)
        kept.head = msgspec.json.encode(conversation)
        self._add_work(work)
        if reply is not None:
            self._replies[reply.account_id, reply.key] = reply

    async def end(self, conversation: Conversation, *, work: Sequence[Work] = ()) -> None:
        self._check(conversation, conversation.turns)
        self._conversations[_id(conversation)].head = msgspec.json.encode(conversation)
        self._add_work(work)

    async def put_closing(
        self, conversation: Conversation, closing: Closing, *, work: Sequence[Work] = (), facts: Sequence[Fact] = ()
    ) -> None:
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
        self._facts[fact.account_id, fact.agent_id, fact.kind, fact.key] = kept

    async def get_fact(self, account_id: str, agent_id: str, kind: str, key: str, now: datetime) -> Fact | None:
        found = self._facts.get((account_id, agent_id, kind, key))
        return None if found is None or (found.expires_at is not None and found.expires_at <= now) else found

    async def remove_fact(self, account_id: str, agent_id: str, kind: str, key: str) -> bool:
        return self._facts.pop((account_id, agent_id, kind, key), None) is not None

    def _kept(self, conversation: Conversation) -> _Kept:
        kept = self._conversations.get(_id(conversation))
        if kept is None:
            raise StoreError(f"Conversation {conversation.id!r} is not in the store.")
        return kept

    async def get(self, account_id: str | None, agent_id: str, id: str) -> Conversation | None:
        for (account, agent, name), kept in self._conversations.items():
            if (agent, name) == (agent_id, id) and account_id in (None, account):
                return kept.conversation
        return None

    async def snapshot(self, conversation: Conversation) -> Snapshot:
        return codec.decode_snapshot(*self._kept(conversation).snapshot)

    async def turns(self, conversation: Conversation, *, first: int = 0) -> list[Turn]:
        rows = [codec.decode_turn(body) for body in self._kept(conversation).turns]
        return codec.expand(rows, self._texts)[first:]

    async def closing(self, conversation: Conversation) -> Closing | None:
        body = self._kept(conversation).closing
        return codec.decode_closing(body, self._texts) if body is not None else None

    async def list(
        self, account_id: str | None, agent_id: str, *, limit: int, offset: int
    ) -> tuple[Sequence[Conversation], int]:
        found = [
            (kept.conversation.started_at, number, kept.conversation)
            for number, ((account, agent, _), kept) in enumerate(self._conversations.items())
            if agent == agent_id and account_id in (None, account)
        ]
        found.sort(key=lambda entry: entry[:2], reverse=True)
        return [conversation for _, _, conversation in found[offset : offset + limit]], len(found)

    async def reply(self, account_id: str, key: str, now: datetime) -> Reply | None:
        found = self._replies.get((account_id, key))
        return found if found is not None and found.expires_at > now else None

    async def put_key(self, key: Key) -> None:
        self._keys[key.id] = key

    async def keys(self) -> Sequence[Key]:
        return [self._keys[id_] for id_ in sorted(self._keys)]

    async def add_work(self, work: Sequence[Work]) -> None:
        self._add_work(work)

    def _add_work(self, work: Sequence[Work]) -> None:
        for item in work:
            self._work[item.kind, item.key] = item
            self._leases.pop((item.kind, item.key), None)

    async def remove_work(self, kind: str, key: str) -> None:
        self._work.pop((kind, key), None)
        self._leases.pop((kind, key), None)

    async def claim_work(self, now: datetime, until: datetime, *, limit: int) -> Sequence[Claimed]:
        due = sorted((w for w in self._work.values() if w.due_at <= now), key=lambda w: w.due_at)
        found: list[Claimed] = []
        for work in due:
            place = (work.kind, work.key)
            if len(found) == limit or (place in self._leases and self._leases[place][1] > now):
                continue
            lease = uuid.uuid4().hex
            self._leases[place] = (lease, until)
            self._work[place] = replace(work, attempts=work.attempts + 1)
            found.append(Claimed(work=self._work[place], lease=lease))
        return found

    def _holds(self, claimed: Claimed) -> bool:
        return self._leases.get((claimed.work.kind, claimed.work.key), ("",))[0] == claimed.lease

    async def finish_work(self, claimed: Claimed) -> None:
        if self._holds(claimed):
            await self.remove_work(claimed.work.kind, claimed.work.key)

    async def retry_work(self, claimed: Claimed, due_at: datetime) -> None:
        if self._holds(claimed):
            place = (claimed.work.kind, claimed.work.key)
            self._work[place] = replace(self._work[place], due_at=due_at)
            del self._leases[place]

    async def next_due(self) -> datetime | None:
        moments = [max(w.due_at, self._leases[k][1]) if k in self._leases else w.due_at for k, w in self._work.items()]
        return min(moments, default=None)


def _id(conversation: Conversation) -> _Id:
    return (conversation.account_id, conversation.agent_id, conversation.id)
