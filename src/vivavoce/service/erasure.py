"""Erasure, on request and when the time is up: everything of a conversation or a caller goes, and a signed receipt stays."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.conversation import Conversation, Subject
from vivavoce.domain.erasure import ErasureKind, Receipt, Retention, Signer
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria, Order
from vivavoce.domain.work import Work
from vivavoce.errors import ConversationBusy, ConversationNotFound, Invalid, NotFound
from vivavoce.redaction import finder
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.chats import Chats
from vivavoce.service.deployments import Deployments
from vivavoce.service.memories import FACT as MEMORY
from vivavoce.service.memories import key_of
from vivavoce.service.news import News
from vivavoce.service.recordings import CallRecordings
from vivavoce.store.interface import Store, StoreError
from vivavoce.wire import requests

log = logging.getLogger(__name__)

RETAIN = "retention"  # kind of work, and of the fact that holds the days
RETENTION_HOURS = 1  # between two looks at what has become too old
BLOCK = 200  # conversations that are looked at once
MOST_DAYS = 36_500
_OLDEST_FIRST = Order(by="started_at", is_descending=False)
_SYSTEM = Principal(key_id="retention")


class ReceiptNotFound(NotFound):
    code = "ERASURE_NOT_FOUND"


class Erasure:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        signer: Signer,
        deployments: Deployments,
        chats: Chats,
        audit: Audit,
        recordings: CallRecordings,
        drop_call: Callable[[Conversation], Awaitable[None]],
        forget: Callable[[], None],
        forget_caller: Callable[[str, str, str], Awaitable[int]],
        news: News,
        mark: Callable[[Subject], str],
    ) -> None:
        """`drop_call` ends the call that a conversation is on; `forget` clears what this process keeps of sound;
        `forget_caller` (account, agent, contact) what else names a caller: how much that was."""
        self._news = news
        self._mark = mark  # names a conversation to other processes, and tells nothing
        news.on("erased", self._heard)
        self._drop_call = drop_call
        self._forget = forget
        self._forget_caller = forget_caller
        self._recordings = recordings
        self._store = store
        self._clock = clock
        self._random = random
        self._signer = signer
        self._deployments = deployments
        self._chats = chats
        self._audit = audit

    async def conversation(self, principal: Principal, agent_id: str, id: str) -> Receipt:
        """Whether it is going on or has ended. It cannot be had back."""
        require(principal, "admin", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        found = await self._store.get(account_id, agent_id, id)
        if found is None:
            raise ConversationNotFound
        await self._audit.note(principal, "conversation.erase", account_id, agent_id, id, stage="begun")
        removed = await self._erase([found])
        receipt = await self._receipt("conversation", account_id, agent_id, id, 1, removed)
        await self._audit.note(
            principal, "conversation.erase", account_id, agent_id, id, receipt=receipt.id, conversations=1
        )
        return receipt

    async def caller(self, principal: Principal, agent_id: str, contact: str) -> Receipt:
        """Every conversation from or to that number or address, and what is remembered under it."""
        require(principal, "admin", agent_id)
        if len(contact.strip()) < 3:
            raise Invalid("contact should be a telephone number or an address, in full.")
        account_id = await self._deployments.account_of(principal, agent_id)
        await self._audit.note(principal, "caller.erase", account_id, agent_id, contact, stage="begun")
        removed: Counter[str] = Counter()
        conversations, busy = 0, None
        while busy is None and (page := await self._of(account_id, agent_id, Criteria(contacts=(contact,)))):
            for found in page:
                try:
                    removed += await self._erase([found])
                    conversations += 1
                except ConversationBusy as error:
                    busy = error
        for name in dict.fromkeys((contact, contact.strip(), re.sub(r"[^\d+]", "", contact))):
            removed["facts"] += await self._store.remove_fact(account_id, agent_id, MEMORY, key_of(name))
        removed["facts"] += await self._forget_caller(account_id, agent_id, contact)
        receipt = await self._receipt("caller", account_id, agent_id, contact, conversations, removed)
        await self._audit.note(
            principal, "caller.erase", account_id, agent_id, contact, receipt=receipt.id, conversations=conversations
        )
        if busy is not None:
            raise ConversationBusy(
                f"{conversations} conversations were erased (receipt {receipt.id}); one is in the middle of a turn. Ask again shortly.",
                retry_after=busy.retry_after,
            )
        return receipt

    async def receipt(self, principal: Principal, id: str) -> Receipt:
        require(principal, "admin")
        found = await self._store.receipt(id)
        is_own = found is not None and principal.account_id in (None, found.account_id)
        if found is None or not is_own or (principal.agents is not None and found.agent_id not in principal.agents):
            raise ReceiptNotFound("There is no receipt of that id.")
        return found

    @property
    def public_key(self) -> bytes:
        """Checks the signatures of receipts."""
        return self._signer.public_key

    # Retention.

    async def retention(self, principal: Principal, agent_id: str) -> Retention:
        require(principal, "read", agent_id)
        return await self._retention(await self._deployments.account_of(principal, agent_id), agent_id)

    async def put_retention(self, principal: Principal, agent_id: str, retention: Retention) -> Retention:
        """Holds from the next look on, which comes at once."""
        require(principal, "admin", agent_id)
        for name, days in msgspec.structs.asdict(retention).items():
            if days is not None and not 1 <= days <= MOST_DAYS:
                raise Invalid(f"{name} should be a number of days from 1 to {MOST_DAYS:,}, or null for ever.")
        account_id = await self._deployments.account_of(principal, agent_id)
        now = self._clock.now()
        fact = Fact(
            account_id=account_id, agent_id=agent_id, kind=RETAIN, key="", body=msgspec.to_builtins(retention), at=now
        )
        await self._store.put_fact(fact)
        await self._store.add_work([_work(account_id, agent_id, now)])
        days = {
            name: days if days is not None else "for ever" for name, days in msgspec.structs.asdict(retention).items()
        }
        await self._audit.note(principal, "retention.change", account_id, agent_id, "", **days)
        return retention

    async def expire(self, work: Work) -> datetime | None:
        """Background work: erases what is too old; when to look again."""
        account_id, agent_id = work.payload["account"], work.payload["agent"]
        kept = await self._retention(account_id, agent_id)
        if kept == Retention():
            return None
        now = self._clock.now()
        if kept.conversations is not None:
            await self._drop_turns(now)
            before = Criteria(until=now - timedelta(days=kept.conversations))
            removed: Counter[str] = Counter()
            conversations = 0
            while page := await self._of(account_id, agent_id, before):
                # What is remembered of a caller has days of its own.
                removed += await self._erase(page, keeps=(MEMORY,))
                conversations += len(page)
            if conversations:
                receipt = await self._receipt(
                    "retention", account_id, agent_id, now.isoformat(), conversations, removed
                )
                await self._audit.note(
                    _SYSTEM,
                    "conversations.expire",
                    account_id,
                    agent_id,
                    receipt=receipt.id,
                    conversations=conversations,
                )
        if kept.details is not None:
            await self._forget_details(account_id, agent_id, now - timedelta(days=kept.details))
        if kept.memory is not None:
            forgotten = await self._store.expired_facts(account_id, agent_id, MEMORY, now - timedelta(days=kept.memory))
            if forgotten:
                await self._audit.note(_SYSTEM, "memory.erase", account_id, agent_id, memories=forgotten)
        return now + timedelta(hours=RETENTION_HOURS)

    async def _drop_turns(self, now: datetime) -> None:
        """A month whose conversations are too old for every agent goes at once, before what else there is of them."""
        longest = 0
        for account_id, agent_id in await self._store.agents():
            days = (await self._retention(account_id, agent_id)).conversations
            if days is None:
                return
            longest = max(longest, days)
        try:
            months = await self._store.drop_turns(now - timedelta(days=longest))
        except StoreError as error:  # the table is in use: its rows go one by one
            log.warning("months of turns were not dropped at once: %s", error.message)
            return
        if months:
            await self._audit.note(_SYSTEM, "turns.drop", "", months=list(months))

    async def _forget_details(self, account_id: str, agent_id: str, before: datetime) -> None:
        """From where the last look came to."""
        mark = await self._store.get_fact(account_id, agent_id, RETAIN, "details", self._clock.now())
        since = datetime.fromisoformat(mark.body["until"]) if mark is not None else None
        criteria = Criteria(since=since, until=before, in_progress=False)
        after = None
        while True:
            page = await self._store.find(account_id, agent_id, criteria, _OLDEST_FIRST, limit=BLOCK, after=after)
            for item in page.items:
                await self._store.forget_details(item.conversation)
            if page.next is None:
                break
            after = page.next
        # Those that are still going on are looked at again: the next look begins with the oldest of them.
        going_on = Criteria(since=since, until=before, in_progress=True)
        open_ = await self._store.find(account_id, agent_id, going_on, _OLDEST_FIRST, limit=1)
        if open_.items:
            before = min(before, open_.items[0].conversation.started_at)
        done = Fact(
            account_id=account_id,
            agent_id=agent_id,
            kind=RETAIN,
            key="details",
            body={"until": before.astimezone(UTC).isoformat()},
            at=self._clock.now(),
        )
        await self._store.put_fact(done)

    async def _retention(self, account_id: str, agent_id: str) -> Retention:
        fact = await self._store.get_fact(account_id, agent_id, RETAIN, "", self._clock.now())
        return msgspec.convert(fact.body, Retention) if fact is not None else Retention()

    # Parts.

    async def _of(self, account_id: str, agent_id: str, criteria: Criteria) -> Sequence[Conversation]:
        page = await self._store.find(account_id, agent_id, criteria, _OLDEST_FIRST, limit=BLOCK)
        return [item.conversation for item in page.items]

    async def _erase(self, conversations: Sequence[Conversation], *, keeps: Sequence[str] = ()) -> Counter[str]:
        removed: Counter[str] = Counter()
        for conversation in conversations:
            await self._drop_call(conversation)
            async with self._chats.closed(conversation), self._recordings.closed(conversation):
                removed["recordings"] += await self._recordings.erase(conversation)
                removed.update(await self._store.erase(conversation, keeps=keeps))
            await self._news.tell("erased", self._mark(conversation.subject))
        self._forget_all()
        return removed

    def _forget_all(self) -> None:
        finder.forget()
        requests.forget()
        self._forget()

    def _heard(self, names: tuple[str, ...] | None) -> None:
        """Another process has erased a conversation, or it is not known whether one has."""
        self._chats.forget(lambda subject: names is None or self._mark(subject) == names[0])
        self._forget_all()

    async def _receipt(
        self, kind: ErasureKind, account_id: str, agent_id: str, about: str, conversations: int, removed: Counter[str]
    ) -> Receipt:
        receipt = Receipt(
            id=self._random.uuid(),
            at=self._clock.now(),
            kind=kind,
            account_id=account_id,
            agent_id=agent_id,
            subject=self._audit.subject(account_id, agent_id, about),
            conversations=conversations,
            removed={step: count for step, count in sorted(removed.items()) if count},
            is_log_cut=await self._store.cut_log(),
        )
        signed = replace(receipt, signature=self._signer.sign(signed_text(receipt)).hex())
        await self._store.put_receipt(signed)
        return signed


def signed_text(receipt: Receipt) -> bytes:
    """What the signature of a receipt covers."""
    return msgspec.json.encode(replace(receipt, signature=""), order="sorted")


def _work(account_id: str, agent_id: str, due_at: datetime) -> Work:
    return Work(
        kind=RETAIN, key=f"{account_id}/{agent_id}", due_at=due_at, payload={"account": account_id, "agent": agent_id}
    )
