"""Conversations carried out and in: whole records as signed lines, which come back as they went; tables for people."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from vivavoce.domain.clock import Clock
from vivavoce.domain.erasure import Signer
from vivavoce.domain.ids import is_conversation_id
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria, Listed, Order, Record
from vivavoce.errors import ConversationExists, Forbidden, Invalid
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.conversations import Conversations
from vivavoce.service.deployments import Deployments
from vivavoce.service.redaction import decide, sees_personal
from vivavoce.service.reviews import work_for
from vivavoce.store.interface import Store

VERSION = 1
OLDEST_FIRST = Order(by="started_at", is_descending=False)
MOST_RECORDS = 200  # of one import request
_encode = msgspec.json.Encoder().encode


class Line(Struct, frozen=True, kw_only=True):
    """One line of an export. A later version of the format has another `vivavoce`."""

    vivavoce: int
    record: Record


_decode_line = msgspec.json.Decoder(Line).decode


class Signature(Struct, frozen=True, kw_only=True):
    """The last line: so many records, a hash of all bytes before it, and Ed25519 over that hash."""

    conversations: int
    sha256: str
    ed25519: str
    public_key: str


class Imported(Struct, frozen=True, kw_only=True):
    imported: int
    skipped: dict[str, str]  # conversation id -> why


class Exports:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        signer: Signer,
        deployments: Deployments,
        conversations: Conversations,
        audit: Audit,
    ) -> None:
        self._store = store
        self._clock = clock
        self._signer = signer
        self._deployments = deployments
        self._conversations = conversations
        self._audit = audit

    async def listed(self, principal: Principal, agent_id: str, criteria: Criteria) -> AsyncIterator[Sequence[Listed]]:
        """Blocks of conversations, oldest first; what a table is made of."""
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        await self._audit.note(principal, "conversations.export", account_id, agent_id, format="csv")
        async for page in self._conversations.stream(principal, agent_id, criteria, OLDEST_FIRST, limit=None):
            yield page.items

    async def lines(self, principal: Principal, agent_id: str, criteria: Criteria) -> AsyncIterator[bytes]:
        """Whole records, then the signature. Only for who may see personal data: a record without it could not come back."""
        require(principal, "read", agent_id)
        if not sees_personal(principal):
            raise Forbidden(
                "A whole export holds personal data, and this API key lacks the permission 'pii'; format csv works without it."
            )
        account_id = await self._deployments.account_of(principal, agent_id)
        await self._audit.note(principal, "conversations.export", account_id, agent_id, format="jsonl")
        digest, count = hashlib.sha256(), 0
        async for page in self._conversations.stream(principal, agent_id, criteria, OLDEST_FIRST, limit=None):
            for item in page.items:
                line = _encode(Line(vivavoce=VERSION, record=await self._record(item))) + b"\n"
                digest.update(line)
                count += 1
                yield line
        signature = Signature(
            conversations=count,
            sha256=digest.hexdigest(),
            ed25519=self._signer.sign(digest.digest()).hex(),
            public_key=self._signer.public_key.hex(),
        )
        yield _encode({"signature": signature}) + b"\n"

    async def _record(self, listed: Listed) -> Record:
        conversation = listed.conversation
        snapshot = await self._store.snapshot(conversation)
        return Record(
            conversation=conversation,
            turns=tuple(await self._store.turns(conversation)),
            state={key: msgspec.json.decode(value) for key, value in snapshot.view.items()},
            closing=await self._store.closing(conversation),
            deliveries=tuple(await self._store.deliveries(conversation)),
            review=listed.review,
        )

    async def take_in(self, principal: Principal, agent_id: str, records: Sequence[bytes | Raw]) -> Imported:
        """Records as `lines` gave them, into this account's agent. One that is there already, or is still going on, is skipped."""
        require(principal, "admin", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        if len(records) > MOST_RECORDS:
            raise Invalid(f"An import takes {MOST_RECORDS} records at once; send the rest in further requests.")
        read = [_read(body, number) for number, body in enumerate(records)]
        imported, skipped = 0, {}
        for record in read:
            head = replace(record.conversation, account_id=account_id, agent_id=agent_id)
            if not head.is_ended:
                skipped[head.id] = "it was still going on"
                continue
            turns = tuple(replace(turn, personal=decide(turn)) for turn in record.turns)
            try:
                await self._store.restore(
                    replace(record, conversation=head, turns=turns), work=[work_for(head, self._clock.now())]
                )
                imported += 1
            except ConversationExists:
                skipped[head.id] = "it is there already"
        await self._audit.note(principal, "conversations.import", account_id, agent_id, conversations=imported)
        return Imported(imported=imported, skipped=skipped)


def _read(body: bytes | Raw, number: int) -> Record:
    """A record that holds together, whoever wrote it."""
    try:
        line = _decode_line(body)
    except msgspec.MsgspecError as error:
        raise Invalid(f"records[{number}] is not a record of this format: {error}.") from error
    if line.vivavoce != VERSION:
        raise Invalid(f"records[{number}] is of version {line.vivavoce} of the format; this program reads {VERSION}.")
    record, head = line.record, line.record.conversation
    if not is_conversation_id(head.id):
        raise Invalid(f"records[{number}] has an id that no conversation can have.")
    if not record.turns or [turn.index for turn in record.turns] != list(range(head.turns)):
        raise Invalid(f"records[{number}] should have its {head.turns} turns, in order and from 0 on.")
    if head.started_at.tzinfo is None or not 1970 <= head.started_at.year < 2200:
        raise Invalid(f"records[{number}] has no sensible start time.")
    return record
