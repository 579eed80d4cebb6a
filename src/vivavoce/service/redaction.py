"""What of a conversation is personal: decided when a turn is written, and applied to all that leaves without the right to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from vivavoce.domain.conversation import BY_HAND, Conversation, PersonalSpan, Turn
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import TranscriptTurn
from vivavoce.redaction.finder import BUILT_IN, Finder
from vivavoce.redaction.redact import WITHHELD, Redactor
from vivavoce.redaction.text import Span

LONG_CHARACTERS = 4_000
SideName: TypeAlias = Literal["input", "corrected", "reply"]
Side: TypeAlias = tuple[SideName, str]


def decide(turn: Turn, finder: Finder) -> tuple[PersonalSpan, ...]:
    """All that is personal in what a turn says, to be kept with it as decided by that finder."""
    return _decided(turn, finder, is_thorough=True)


def by_hand(turn: Turn) -> tuple[PersonalSpan, ...]:
    """What a reviewer has hidden in a turn."""
    return tuple(span for span in turn.personal or () if span.category == BY_HAND)


async def look(turn: Turn, finder: Finder) -> tuple[PersonalSpan, ...]:
    """The same in the time that a turn has; a long text does not keep others waiting."""
    if sum(len(text) for _, text in sides(turn)) <= LONG_CHARACTERS:
        return _decided(turn, finder)
    return await asyncio.to_thread(_decided, turn, finder)


def _decided(turn: Turn, finder: Finder, *, is_thorough: bool = False) -> tuple[PersonalSpan, ...]:
    return tuple(
        PersonalSpan(side, span.start, span.end, span.category)
        for side, text in sides(turn)
        if text
        for span in (_looked_at(side, text, finder) if is_thorough else finder.quick(text))
    )


def _looked_at(side: SideName, text: str, finder: Finder) -> Sequence[Span]:
    """An agent says mostly what its author wrote, in which the tagger would find names that are nobody's: there, rules decide.
    What it repeats of its customer is known from the customer."""
    return finder.quick(text) if side == "reply" else finder.thorough(text)


def sees_personal(principal: Principal) -> bool:
    return "pii" in principal.permissions


def customer_of(conversation: Conversation) -> str:
    """The customer's number or address, whoever called."""
    found = conversation.to_number if conversation.direction == "outbound" else conversation.from_number
    return found or ""


def redactor(turns: Iterable[Turn | TranscriptTurn], others: Iterable[str] = (), finder: Finder = BUILT_IN) -> Redactor:
    """Knows all that was found personal in these turns; `others` are values that are personal by what they are."""
    values = [(text, "personal") for text in others if text]
    for turn in turns:
        for side, text in sides(turn):
            values += [(text[s.start : s.end], s.category) for s in spans(turn, side, finder)]
        dtmf = turn.dtmf if isinstance(turn, TranscriptTurn) else turn.input.dtmf
        if len(dtmf) > 2:
            values.append((dtmf, "secret"))
    return Redactor(values, finder=finder)


def spans(turn: Turn | TranscriptTurn, side: SideName, finder: Finder) -> list[Span]:
    """What is kept as personal of one text; and what the finder says of it, where it was not its own decision."""
    kept = [Span(s.start, s.end, s.category) for s in turn.personal or () if s.side == side]
    if turn.personal is None or turn.personal_by == finder.name:
        return kept
    return [*kept, *_looked_at(side, dict(sides(turn))[side], finder)]


def sides(turn: Turn | TranscriptTurn) -> Sequence[Side]:
    text = turn.text if isinstance(turn, TranscriptTurn) else turn.input.text
    return (("input", text), ("corrected", turn.corrected or ""), ("reply", turn.reply))


def shown(turn: Turn | TranscriptTurn, side: SideName, redactor: Redactor) -> str:
    """One text of a turn without what is personal; nothing of it where nobody has looked yet."""
    text = dict(sides(turn))[side]
    if turn.personal is None:
        return WITHHELD if text else text
    return redactor.text(text, spans(turn, side, redactor.finder))
