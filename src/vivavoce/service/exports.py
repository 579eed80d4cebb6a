"""Conversations carried out and in: whole records as signed lines, which come back as they went; tables for people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.erasure import Signer
from vivavoce.domain.fact import Fact
from vivavoce.domain.ids import is_conversation_id
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria, ExportFormat, ExportSignature, Listed, Order, Record, Transcript
from vivavoce.errors import Conflict, ConversationExists, Forbidden, Invalid, NotFound
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.conversations import Conversations
from vivavoce.service.deployments import Deployments
from vivavoce.service.finders import Finders
from vivavoce.service.redaction import decide, sees_personal
from vivavoce.service.reviews import work_for
from vivavoce.store.interface import Store
from vivavoce.wire import jws, vcon

VERSION = 1
SIGNATURE = "export"  # kind of fact
SIGNATURES_LAST = timedelta(days=30)
OLDEST_FIRST = Order(by="started_at", is_descending=False)
MOST_RECORDS = 200  # of one import request
_encode = msgspec.json.Encoder().encode


class Line(Struct, frozen=True, kw_only=True):
    """One line of an export. A later version of the format has another `vivavoce`."""

    vivavoce: int
    record: Record


_decode_line = msgspec.json.Decoder(Line).decode


class ExportNotFound(NotFound):
    code = "EXPORT_NOT_FOUND"


class Imported(Struct, frozen=True, kw_only=True):
    imported: int
    skipped: dict[str, str]  # conversation id -> why


class Exports:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        signer: Signer,
        deployments: Deployments,
        conversations: Conversations,
        audit: Audit,
        finders: Finders,
    ) -> None:
        self._finders = finders
        self._store = store
        self._clock = clock
        self._random = random
        self._signer = signer
        self._deployments = deployments
        self._conversations = conversations
        self._audit = audit

    # Out. What is refused is refused before the first block.

    async def listed(
        self, principal: Principal, agent_id: str, criteria: Criteria, format: ExportFormat
    ) -> AsyncIterator[Sequence[Listed]]:
        """Blocks of conversations, oldest first."""
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        await self._audit.note(principal, "conversations.export", account_id, agent_id, format=format)
        async for page in self._conversations.stream(principal, agent_id, criteria, OLDEST_FIRST, limit=None):
            yield page.items

    async def transcribed(
        self, principal: Principal, agent_id: str, criteria: Criteria, format: ExportFormat
    ) -> AsyncIterator[Sequence[tuple[Listed, Transcript]]]:
        """The same with what was said."""
        async for items in self.listed(principal, agent_id, criteria, format):
            transcripts = await self._conversations.transcripts(principal, items)
            yield list(zip(items, transcripts, strict=True))

    async def records(self, principal: Principal, listed: Sequence[Listed]) -> list[bytes | None]:
        """The whole records of conversations that a list has given, as they are kept; None for one that is gone. Only for who may see personal data."""
        for agent_id in {item.conversation.agent_id for item in listed}:
            require(principal, "pii", agent_id)
        found = await self._store.records(listed)
        return [_encode(Line(vivavoce=VERSION, record=r)) if r is not None else None for r in found]

    async def lines(self, principal: Principal, agent_id: str, criteria: Criteria) -> AsyncIterator[tuple[int, bytes]]:
        """Blocks of whole records, each with how many they are. Only for who may see personal data: a record without it could not come back."""
        require(principal, "read", agent_id)
        if not sees_personal(principal):
            raise Forbidden(
                "A whole export holds personal data, and this API key lacks the permission 'pii'; the other formats work without it."
            )
        async for items in self.listed(principal, agent_id, criteria, "jsonl"):
            lines = [line for line in await self.records(principal, items) if line is not None]
            yield len(lines), b"".join(line + b"\n" for line in lines)

    async def begin(self, principal: Principal, agent_id: str, id: str | None) -> str:
        """The id under which the export's signature can be asked for: the one that was asked for, if it is free."""
        require(principal, "read", agent_id)
        if id is None:
            return self._random.uuid()
        if not is_conversation_id(id):
            raise Invalid("exportId takes 1 to 128 letters, digits and ._:@+- and begins with a letter or digit.")
        account_id = await self._deployments.account_of(principal, agent_id)
        if await self._store.get_fact(account_id, agent_id, SIGNATURE, id, self._clock.now()) is not None:
            raise Conflict(f"There is already an export {id!r}; leave exportId out to get a new one.")
        return id

    def vcon(self, body: bytes, uuid: str) -> dict[str, Any]:
        """A signed vCon."""
        return jws.signed(body, sign=self._signer.sign, certificate=self._signer.certificate, uuid=uuid)

    async def sign(
        self, principal: Principal, agent_id: str, id: str, format: ExportFormat, *, digest: bytes, conversations: int
    ) -> ExportSignature:
        """Of an export that was sent to its end; kept, so that it can be asked for."""
        signature = ExportSignature(
            id=id,
            format=format,
            conversations=conversations,
            sha256=digest.hex(),
            ed25519=self._signer.sign(digest).hex(),
            public_key=self._signer.public_key.hex(),
        )
        now = self._clock.now()
        account_id = await self._deployments.account_of(principal, agent_id)
        await self._store.put_fact(
            Fact(
                account_id=account_id,
                agent_id=agent_id,
                kind=SIGNATURE,
                key=id,
                body=msgspec.to_builtins(signature),
                at=now,
                expires_at=now + SIGNATURES_LAST,
            )
        )
        return signature

    async def signature(self, principal: Principal, agent_id: str, id: str) -> ExportSignature:
        require(principal, "read", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        fact = await self._store.get_fact(account_id, agent_id, SIGNATURE, id, self._clock.now())
        if fact is None:
            raise ExportNotFound(
                "There is no finished export of that id; a signature is there once all was sent, and for 30 days."
            )
        return msgspec.convert(fact.body, ExportSignature)

    # In.

    async def take_in(self, principal: Principal, agent_id: str, records: Sequence[bytes | Raw]) -> Imported:
        """Records as `lines` gave them, or vCons, into this account's agent. One that is there already, or is still going on, is skipped."""
        require(principal, "admin", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        if len(records) > MOST_RECORDS:
            raise Invalid(f"An import takes {MOST_RECORDS} records at once; send the rest in further requests.")
        read = [_read(bytes(body), number, account_id, agent_id) for number, body in enumerate(records)]
        finder = await self._finders(account_id, agent_id)
        imported, skipped = 0, {}
        for record in read:
            head = replace(record.conversation, account_id=account_id, agent_id=agent_id)
            if not head.is_ended:
                skipped[head.id] = "it was still going on"
                continue
            turns = tuple(replace(t, personal=decide(t, finder), personal_by=finder.name) for t in record.turns)
            try:
                await self._store.restore(
                    replace(record, conversation=head, turns=turns), work=[work_for(head, self._clock.now())]
                )
                imported += 1
            except ConversationExists:
                skipped[head.id] = "it is there already"
        await self._audit.note(principal, "conversations.import", account_id, agent_id, conversations=imported)
        return Imported(imported=imported, skipped=skipped)


class _Kind(Struct, frozen=True):
    """What tells the kinds of records apart."""

    vivavoce: int | None = None
    record: Raw = Raw(b"")


_decode_kind = msgspec.json.Decoder(_Kind).decode


def _read(body: bytes, number: int, account_id: str, agent_id: str) -> Record:
    """A record that holds together, whoever wrote it."""
    where = f"records[{number}]"
    try:
        kind = _decode_kind(body)
    except msgspec.MsgspecError as error:
        raise Invalid(f"{where} is not a record of this format: {error}.") from error
    if kind.vivavoce is None and not bytes(kind.record):
        try:
            body = vcon.unsigned(body)
            ours = vcon.record_within(body)
            if ours is None:
                return _sound(vcon.record_of(body, account_id, agent_id), where)
            body = ours
        except vcon.VconInvalid as error:
            raise Invalid(f"{where} is neither a record of an export nor a vCon: it {error}.") from error
    try:
        line = _decode_line(body)
    except msgspec.MsgspecError as error:
        raise Invalid(f"{where} is not a record of this format: {error}.") from error
    if line.vivavoce != VERSION:
        raise Invalid(f"{where} is of version {line.vivavoce} of the format; this program reads {VERSION}.")
    return _sound(line.record, where)


def _sound(record: Record, where: str) -> Record:
    head = record.conversation
    if not is_conversation_id(head.id):
        raise Invalid(f"{where} has an id that no conversation can have.")
    if not record.turns or [turn.index for turn in record.turns] != list(range(head.turns)):
        raise Invalid(f"{where} should have its {head.turns} turns, in order and from 0 on.")
    if head.started_at.tzinfo is None or not 1970 <= head.started_at.year < 2200:
        raise Invalid(f"{where} has no sensible start time.")
    return record
