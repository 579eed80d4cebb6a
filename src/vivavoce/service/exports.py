"""Conversations carried out and in: whole records as signed lines, which come back as they went; tables for people."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.conversation import Turn
from vivavoce.domain.erasure import Signer
from vivavoce.domain.fact import Fact
from vivavoce.domain.ids import is_conversation_id
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria, ExportFormat, ExportSignature, Listed, Order, Record, Transcript
from vivavoce.errors import (
    Conflict,
    ConversationExists,
    ConversationNotFound,
    Forbidden,
    Invalid,
    NotFound,
    VivavoceError,
)
from vivavoce.redaction.finder import Finder
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.conversations import Conversations
from vivavoce.service.deployments import Deployments
from vivavoce.service.finders import Finders
from vivavoce.service.redaction import by_hand, decide, sees_personal
from vivavoce.service.reviews import work_for
from vivavoce.store.interface import Store
from vivavoce.wire import jws, vcon

VERSION = 1
SIGNATURE = "export"  # kind of fact
SIGNATURES_LAST = timedelta(days=30)
OLDEST_FIRST = Order(by="started_at", is_descending=False)
BLOCK = 20  # whole records in memory at once: one with its prompts may be a megabyte
MOST_LEVELS = 100  # of nesting
MOST_EXPORTS = 4  # of one key at once
MOST_RECORDS = 200  # of one import request
_encode = msgspec.json.Encoder().encode


class Line(Struct, frozen=True, kw_only=True):
    """One line of an export. A later version of the format has another `vivavoce`."""

    vivavoce: int
    record: Record


_decode_line = msgspec.json.Decoder(Line).decode


class TooManyExports(VivavoceError):
    code = "TOO_MANY_EXPORTS"
    status = 429
    retryable = True


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
        self._running: Counter[str] = Counter()  # key id -> its exports
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
        lines: list[bytes | None] = []
        for start in range(0, len(listed), BLOCK):
            found = await self._store.records(listed[start : start + BLOCK])
            lines += await asyncio.to_thread(_lines, found)
        return lines

    async def record(self, principal: Principal, agent_id: str, id: str) -> bytes:
        """One whole record, as `lines` has it. Only for who may see personal data. Raises ConversationNotFound."""
        require(principal, "pii", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        listed = await self._conversations.one(principal, agent_id, id, account_id=account_id)
        await self._audit.note(principal, "conversations.export", account_id, agent_id, id, format="jsonl")
        (line,) = await self.records(principal, [listed])
        if line is None:
            raise ConversationNotFound
        return line

    async def lines(self, principal: Principal, agent_id: str, criteria: Criteria) -> AsyncIterator[tuple[int, bytes]]:
        """Blocks of whole records, each with how many they are. Only for who may see personal data: a record without it could not come back."""
        require(principal, "read", agent_id)
        if not sees_personal(principal):
            raise Forbidden(
                "A whole export holds personal data, and this API key lacks the permission 'pii'; the other formats work without it."
            )
        async for items in self.listed(principal, agent_id, criteria, "jsonl"):
            for start in range(0, len(items), BLOCK):
                records = await self.records(principal, items[start : start + BLOCK])
                lines = [line for line in records if line is not None]
                yield len(lines), b"".join(line + b"\n" for line in lines)

    @contextmanager
    def counted(self, principal: Principal) -> Iterator[None]:
        """Around an export: a key may have so many at once, since each holds a block of the record."""
        if self._running[principal.key_id] >= MOST_EXPORTS:
            raise TooManyExports(
                f"This API key has {MOST_EXPORTS} exports going on; let one of them end.", retry_after=10
            )
        self._running[principal.key_id] += 1
        try:
            yield
        finally:
            self._running[principal.key_id] -= 1

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
            ed25519="",
            public_key=self._signer.public_key.hex(),
        )
        signature = replace(signature, ed25519=self._signer.sign(signature.text).hex())
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
        """Records as `lines` gave them, or vCons, into this account's agent. One that is there already, or is still going on, is skipped.

        Needs the right to personal data too: a record says what is hidden of it.
        """
        require(principal, "admin", agent_id)
        require(principal, "pii", agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        if len(records) > MOST_RECORDS:
            raise Invalid(f"An import takes {MOST_RECORDS} records at once; send the rest in further requests.")
        read = await asyncio.to_thread(_read_all, records, account_id, agent_id)
        finder = await self._finders(account_id, agent_id)
        imported, skipped = 0, {}
        for record in read:
            # The record comes without its sound.
            head = replace(record.conversation, account_id=account_id, agent_id=agent_id, is_recorded=False)
            if not head.is_ended:
                skipped[head.id] = "it was still going on"
                continue
            turns = await asyncio.to_thread(_decided, record.turns, finder)
            try:
                await self._store.restore(
                    replace(record, conversation=head, turns=turns), work=[work_for(head, self._clock.now())]
                )
                imported += 1
            except ConversationExists:
                skipped[head.id] = "it is there already"
        await self._audit.note(principal, "conversations.import", account_id, agent_id, conversations=imported)
        return Imported(imported=imported, skipped=skipped)


def _lines(records: Sequence[Record | None]) -> list[bytes | None]:
    return [_encode(Line(vivavoce=VERSION, record=r)) if r is not None else None for r in records]


class _Kind(Struct, frozen=True):
    """What tells the kinds of records apart."""

    vivavoce: int | None = None
    record: Raw = Raw(b"")


_decode_kind = msgspec.json.Decoder(_Kind).decode


def _read_all(records: Sequence[bytes | Raw], account_id: str, agent_id: str) -> list[Record]:
    return [_read(bytes(body), f"records[{number}]", account_id, agent_id) for number, body in enumerate(records)]


def _decided(turns: Sequence[Turn], finder: Finder) -> tuple[Turn, ...]:
    return tuple(replace(t, personal=(*decide(t, finder), *by_hand(t)), personal_by=finder.name) for t in turns)


def _read(body: bytes, where: str, account_id: str, agent_id: str) -> Record:
    """A record that holds together, whoever wrote it."""
    try:
        kind = _decode_kind(body)
        if kind.vivavoce is not None or bytes(kind.record):
            return _sound(_decode_line(body), where)
        plain = vcon.unsigned(body)
        ours = vcon.record_within(plain)
        if ours is None:
            return _sound(Line(vivavoce=VERSION, record=vcon.record_of(plain, account_id, agent_id)), where)
        return _sound(_decode_line(ours), where)
    except vcon.VconInvalid as error:
        raise Invalid(f"{where} is neither a record of an export nor a vCon: it {error}.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(f"{where} is not a record of this format: {error}.") from error
    except (RecursionError, OverflowError) as error:
        raise Invalid(f"{where} is nested too deeply, or has a time that no calendar has.") from error


def _sound(line: Line, where: str) -> Record:
    if line.vivavoce != VERSION:
        raise Invalid(f"{where} is of version {line.vivavoce} of the format; this program reads {VERSION}.")
    record = line.record
    head = record.conversation
    if not is_conversation_id(head.id):
        raise Invalid(f"{where} has an id that no conversation can have.")
    if not record.turns or [turn.index for turn in record.turns] != list(range(head.turns)):
        raise Invalid(f"{where} should have its {head.turns} turns, in order and from 0 on.")
    if any(not 0 <= mark.turn < head.turns for mark in record.review.annotations):
        raise Invalid(f"{where} has an annotation of a turn that is not there.")
    _check_values(record, where)
    return record


def _check_values(record: Record, where: str) -> None:
    """Every time must be one that can be written in any zone, and nothing deeper than can be read again."""
    left: list[tuple[Any, int]] = [(record, 0)]
    while left:
        value, depth = left.pop()
        if isinstance(value, datetime) and (value.tzinfo is None or not 1970 < value.year < 2200):
            raise Invalid(
                f"{where} has a time that is not sensible: {value.isoformat()}; years 1971 to 2199 with a zone are taken."
            )
        if isinstance(value, Raw):
            value = msgspec.json.decode(value)
        if isinstance(value, Struct):
            value = msgspec.structs.astuple(value)
        if isinstance(value, dict):
            left += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, (list, tuple)):
            left += [(item, depth + 1) for item in value]
        if depth > MOST_LEVELS:
            raise Invalid(f"{where} is nested deeper than {MOST_LEVELS} levels.")
