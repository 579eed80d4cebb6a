"""What the rest of vivavoce asks of a store. Everything acknowledged is on disk; nothing is ever overwritten unseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from vivavoce.domain.audit import AuditEntry, AuditRecord, Verdict
from vivavoce.domain.conversation import Closing, Conversation, Delivery, PersonalSpan, Snapshot, Turn
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
from vivavoce.domain.tally import Part, Tally
from vivavoce.domain.work import Waiting, Work
from vivavoce.errors import Conflict, ConversationExists, VivavoceError


class StoreError(VivavoceError):
    """The store cannot do its work now."""

    code = "STORE_UNAVAILABLE"
    status = 503
    retryable = True


class PositionConflict(Conflict):
    """The conversation does not stand where the writer thought; the write was not made."""


class ClaimLost(PositionConflict):
    """What was claimed is another process's by now; the write was not made."""

    def __init__(self) -> None:
        super().__init__(
            "This process was away for too long, and another one has taken the work over.", retry_after=1.0
        )


class Claim(Struct, frozen=True, kw_only=True):
    """That one process works at something, and no other. `is_continued`: none has since this one did so last."""

    name: bytes
    token: int
    is_continued: bool


class Reply(Struct, frozen=True, kw_only=True):
    """An answered request, kept for its idempotency key. `fingerprint` is a hash of the request."""

    account_id: str
    key: str
    fingerprint: str
    status: int
    body: bytes
    expires_at: datetime


class Claimed(Struct, frozen=True, kw_only=True):
    work: Work
    lease: str


class Store(Protocol):
    async def open(self) -> None:
        """Makes the store ready, migrations included. Raises StoreError with the remedy when it cannot."""
        ...

    async def close(self) -> None: ...

    # Trees and deployments.

    async def put_tree(self, tree: Tree) -> None:
        """Idempotent."""
        ...

    async def get_tree(self, hash: str) -> Tree | None: ...

    async def add_deployment(self, deployment: Deployment) -> None: ...

    async def deployment(self, account_id: str, agent_id: str, id: str) -> Deployment | None: ...

    async def deployments(
        self, account_id: str, agent_id: str, environment: str, *, limit: int
    ) -> Sequence[Deployment]:
        """Those of an environment, newest first: the first of them serves it."""
        ...

    async def remove_deployments(self, account_id: str, agent_id: str) -> None:
        """All of an agent's. Their trees stay, since others may be the same."""
        ...

    async def accounts_of(self, agent_id: str) -> Sequence[str]:
        """The accounts in which an agent of that id was ever deployed."""
        ...

    async def agents(self) -> Sequence[tuple[str, str]]:
        """(account, agent) of every agent that was ever deployed, by agent id."""
        ...

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
        claim: Claim | None = None,
    ) -> None:
        """The conversation and its turn 0, or ConversationExists and nothing at all. Raises ClaimLost."""
        ...

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
        """One turn with its snapshot, work, facts and reply, in one transaction, which gives the claim back.

        `turn.index` is the expected position: PositionConflict, and nothing is written, when the conversation has
        another number of turns or has ended, or when the claim is lost.
        """
        ...

    async def end(self, conversation: Conversation, *, work: Sequence[Work] = (), claim: Claim | None = None) -> None:
        """Ends a conversation outside of a turn; the expected position is `conversation.turns`. Raises ClaimLost."""
        ...

    async def put_closing(
        self,
        conversation: Conversation,
        closing: Closing,
        *,
        work: Sequence[Work] = (),
        facts: Sequence[Fact] = (),
        claim: Claim | None = None,
    ) -> None:
        """What came after the end, with the work and the facts that follow from it. Written once; a second one replaces the first. Raises ClaimLost."""
        ...

    async def put_delivery(self, conversation: Conversation, delivery: Delivery) -> None:
        """Replaces what was known of that message."""
        ...

    async def deliveries(self, conversation: Conversation) -> Sequence[Delivery]: ...

    async def get(self, account_id: str, agent_id: str, id: str) -> Conversation | None: ...

    async def listed(self, account_id: str, agent_id: str, id: str) -> Listed | None:
        """The conversation with its review."""
        ...

    async def snapshot(self, conversation: Conversation) -> Snapshot: ...

    async def turns(
        self, conversation: Conversation, *, first: int = 0, limit: int | None = None, has_history: bool = True
    ) -> list[Turn]:
        """`limit` turns from index `first` on, in order, with their model requests expanded.

        Without `has_history` the requests have no messages of turns before, and turns before are not read.
        """
        ...

    async def transcripts(self, conversations: Sequence[Conversation]) -> list[Transcript]:
        """What was said in each, without how it came to be. One that was erased meanwhile has nothing left."""
        ...

    async def decide(
        self, conversation: Conversation, personal: Mapping[int, tuple[PersonalSpan, ...]], by: str
    ) -> None:
        """Replaces what is personal in turns (index -> spans), and whose decision it is. What was hidden by hand stays."""
        ...

    async def hide(
        self, conversation: Conversation, index: int, change: Callable[[Sequence[PersonalSpan]], Sequence[PersonalSpan]]
    ) -> None:
        """Replaces what reviewers have hidden in a turn by what `change` makes of it; nobody else's change comes between.

        A turn that nobody has looked at yet is withheld whole, and stays so.
        """
        ...

    async def amend(self, conversation: Conversation, index: int, change: Callable[[Turn], Turn]) -> None:
        """Replaces a turn by what `change` makes of it, which is given it without its model exchanges and keeps them.

        Nothing happens where there is no such turn (any more).
        """
        ...

    async def closing(self, conversation: Conversation) -> Closing | None: ...

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
        """At most `limit` conversations in that order, after a position of it and `offset` more.

        Ordered by duration or score, those that have none (yet) are left out.
        """
        ...

    async def count(self, account_id: str, agent_id: str, criteria: Criteria) -> Count: ...

    async def sample(self, account_id: str, agent_id: str, criteria: Criteria, *, limit: int) -> list[Listed]:
        """So many at random, each as likely as any other, in no order."""
        ...

    async def put_index(self, conversation: Conversation, index: Index) -> None:
        """Replaces what it is searched by."""
        ...

    async def alike(
        self, account_id: str, agent_id: str, criteria: Criteria, asked: Meaning, *, limit: int, offset: int = 0
    ) -> list[tuple[Listed, float]]:
        """Those nearest in meaning, with their likeness, best first."""
        ...

    async def revise(self, conversation: Conversation, change: Callable[[Review], Review]) -> Review:
        """Replaces the review by what `change` makes of it; nobody else's change comes between."""
        ...

    async def reply(self, account_id: str, key: str, now: datetime) -> Reply | None: ...

    async def records(self, listed: Sequence[Listed]) -> list[Record | None]:
        """All that is kept of each; None in place of one that was erased meanwhile."""
        ...

    async def restore(self, record: Record, *, work: Sequence[Work] = ()) -> None:
        """Writes a whole conversation at once, or ConversationExists and nothing at all."""
        ...

    # Erasure.

    async def erase(self, conversation: Conversation, *, keeps: Sequence[str] = ()) -> dict[str, int]:
        """Removes all that is kept of a conversation, and destroys its key: kind of row -> how many went.

        Facts that ever came from it go too, but for kinds that it `keeps`. Nothing happens to one that is gone already.
        """
        ...

    async def drop_turns(self, before: datetime) -> Sequence[str]:
        """Removes at once the turns of whole months that were over by then, where the store keeps months apart: which.

        Whose turns went is for the caller to erase.
        """
        ...

    async def forget_details(self, conversation: Conversation) -> int:
        """Removes how its turns came to be, and keeps what was said: the number of turns."""
        ...

    async def expired_facts(self, account_id: str, agent_id: str, kind: str, before: datetime) -> int:
        """Removes an agent's facts of a kind that were written before then: how many."""
        ...

    async def cut_log(self) -> bool:
        """Empties whatever copies of written data the store keeps beside itself. False: not now, somebody is reading."""
        ...

    async def put_receipt(self, receipt: ErasureReceipt) -> None: ...

    async def receipt(self, id: str) -> ErasureReceipt | None: ...

    # Counts.

    async def tally(self, conversation: Conversation, day: str, counts: Mapping[Part, Mapping[str, int]]) -> bool:
        """Adds an ended conversation to the counts of its environment on that day. False: it was counted before, or is gone."""
        ...

    async def tallies(self, account_id: str, agent_id: str, part: Part, first: str, last: str) -> list[Tally]:
        """The counts of the days from `first` to `last`, in order."""
        ...

    async def untallied(self, *, after: Position | None = None, limit: int) -> Page:
        """Ended conversations that have not been counted, the newest first, after a position in that order."""
        ...

    async def size(self) -> int:
        """Bytes that the store takes up."""
        ...

    # Audit.

    async def append_audit(self, entry: AuditEntry) -> None:
        """At the end of the chain."""
        ...

    async def audit(self, *, after: int = 0, limit: int) -> Sequence[AuditRecord]:
        """In order, from after that number on."""
        ...

    async def newest_audit(self, *, before: int | None, limit: int) -> Sequence[AuditRecord]:
        """From before that number on, the newest first; None is the end."""
        ...

    async def verify_audit(self) -> Verdict:
        """Reads the whole chain."""
        ...

    # Facts.

    async def put_fact(self, fact: Fact) -> None:
        """Replaces the one of the same name."""
        ...

    async def add_fact(self, fact: Fact) -> bool:
        """Puts it only where none of that name is there; False where one is."""
        ...

    async def replace_fact(self, fact: Fact) -> bool:
        """Puts it only where one of that name is there; False where it is gone."""
        ...

    async def get_fact(self, account_id: str, agent_id: str, kind: str, key: str, now: datetime) -> Fact | None:
        """None when there is none, or when it has expired."""
        ...

    async def facts(self, account_id: str, agent_id: str, kind: str, now: datetime) -> list[dict[str, Any]]:
        """The bodies of an agent's facts of a kind, in no order."""
        ...

    async def remove_fact(self, account_id: str, agent_id: str, kind: str, key: str) -> bool:
        """True when there was one."""
        ...

    # Keys.

    async def put_key(self, key: Key) -> None: ...

    async def keys(self) -> Sequence[Key]: ...

    async def put_key_use(self, key_id: str, used_at: datetime) -> None: ...

    async def key_uses(self) -> dict[str, datetime]:
        """key id -> when it was last used."""
        ...

    # Claims: who works at what, among all processes that share the store.

    async def live(self, holder: str, seconds: float) -> None:
        """What `holder` claims is its own for so long from now; it says so again and again while it lives."""
        ...

    async def leave(self, holder: str) -> None:
        """It lives no longer: its claims are free at once."""
        ...

    async def claim(self, holder: str, *name: str) -> Claim | None:
        """None while another living holder has it. The same holder takes over what it had itself."""
        ...

    async def keep(self, holder: str, claim: Claim) -> None:
        """Puts a claim back that the store has forgotten; one that another has taken stays lost."""
        ...

    async def release(self, claim: Claim) -> None:
        """Gives it back; nothing happens when it is lost, or was given back."""
        ...

    async def tell(self, news: str) -> None:
        """To all processes that share the store, this one included. At most some thousand characters."""
        ...

    async def listen(self, heard: Callable[[str | None], None]) -> None:
        """`heard` is called with what is told from now on, and with None whenever some may have been missed."""
        ...

    # Background work.

    async def add_work(self, work: Sequence[Work]) -> None: ...

    async def remove_work(self, work: Work) -> None:
        """Whatever its due time and payload are by now."""
        ...

    async def claim_work(self, now: datetime, until: datetime, *, limit: int) -> Sequence[Claimed]:
        """Takes due work that nobody holds, for as long as the lease says."""
        ...

    async def finish_work(self, claimed: Claimed) -> None:
        """Done: the row goes away, unless the work was added again meanwhile or the lease was lost."""
        ...

    async def retry_work(self, claimed: Claimed, due_at: datetime) -> None: ...

    async def next_due(self) -> datetime | None: ...

    async def waiting(self, now: datetime) -> Sequence[Waiting]:
        """What is in the table of work, by kind."""
        ...


__all__ = ["Claim", "ClaimLost", "Claimed", "ConversationExists", "PositionConflict", "Reply", "Store", "StoreError"]
