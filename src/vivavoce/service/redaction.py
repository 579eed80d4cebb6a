"""What of a conversation is personal: decided when a turn is written, and applied to all that leaves without the right to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from vivavoce.domain.conversation import Conversation, PersonalSpan, Turn
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import TranscriptTurn
from vivavoce.redaction import redact
from vivavoce.redaction.redact import WITHHELD, Redactor
from vivavoce.redaction.text import Span

LONG_CHARACTERS = 4_000
SideName: TypeAlias = Literal["input", "corrected", "reply"]
Side: TypeAlias = tuple[SideName, str]


def decide(turn: Turn) -> tuple[PersonalSpan, ...]:
    """The personal spans of what a turn says, to be kept with it."""
    return tuple(
        PersonalSpan(side, span.start, span.end, span.category)
        for side, text in sides(turn)
        if text
        for span in redact.spans_of(text)
    )


async def decided(turn: Turn) -> tuple[PersonalSpan, ...]:
    """The same; a long text does not keep others waiting."""
    if sum(len(text) for _, text in sides(turn)) <= LONG_CHARACTERS:
        return decide(turn)
    return await asyncio.to_thread(decide, turn)


def sees_personal(principal: Principal) -> bool:
    return "pii" in principal.permissions


def customer_of(conversation: Conversation) -> str:
    """The customer's number or address, whoever called."""
    found = conversation.to_number if conversation.direction == "outbound" else conversation.from_number
    return found or ""


def redactor(turns: Iterable[Turn | TranscriptTurn], others: Iterable[str] = ()) -> Redactor:
    """Knows all that was found personal in these turns; `others` are values that are personal by what they are."""
    values = [(text, "personal") for text in others if text]
    for turn in turns:
        texts = dict(sides(turn))
        values += [(texts[s.side][s.start : s.end], s.category) for s in turn.personal or () if s.side in texts]
        dtmf = turn.dtmf if isinstance(turn, TranscriptTurn) else turn.input.dtmf
        if len(dtmf) > 2:
            values.append((dtmf, "secret"))
    return Redactor(values)


def sides(turn: Turn | TranscriptTurn) -> Sequence[Side]:
    text = turn.text if isinstance(turn, TranscriptTurn) else turn.input.text
    return (("input", text), ("corrected", turn.corrected or ""), ("reply", turn.reply))


def shown(turn: Turn | TranscriptTurn, side: SideName, redactor: Redactor) -> str:
    """One text of a turn without what is personal; nothing of it where nobody has looked yet."""
    text = dict(sides(turn))[side]
    if turn.personal is None:
        return WITHHELD if text else text
    return redactor.text(text, [Span(s.start, s.end, s.category) for s in turn.personal if s.side == side])
