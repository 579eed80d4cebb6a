"""What a key without the right to personal data is shown: every body passes through here on its way out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

import msgspec
from msgspec.structs import replace

from vivavoce.domain.conversation import Conversation, Turn
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Annotation, Listed, Review, Transcript, TranscriptTurn
from vivavoce.domain.words import words
from vivavoce.redaction.finder import Finder
from vivavoce.redaction.redact import Redactor
from vivavoce.service.chats import Taken
from vivavoce.service.conversations import Found
from vivavoce.service.redaction import SideName, customer_of, redactor, sees_personal, shown
from vivavoce.wire import conversations_v3
from vivavoce.wire.chat import debug_chat
from vivavoce.wire.conversations import annotation_item, audio_url, detail, summary

_WORD = re.compile(r"\w+")


_POOL = ThreadPoolExecutor(2, thread_name_prefix="hiding")
P = ParamSpec("P")
T = TypeVar("T")


async def apart(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """In threads of its own: what must be hidden takes time in proportion to the text, and nobody else should wait for it."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, partial(work, *given, **named))


def summary_of(listed: Listed, principal: Principal, finder: Finder) -> dict[str, Any]:
    if sees_personal(principal):
        return summary(listed)
    return _hidden(summary(_redacted(listed), is_personal_shown=False), Redactor(finder=finder))


# Decided already: numbers are hidden by direction, what people and models wrote as it was written. To hide it again by what
# a conversation holds would let whoever writes a note find out by trying.
_DECIDED = frozenset(
    ("audioUrl", "fromNumber", "toNumber", "from_number", "to_number", "note", "shortSummary", "score")
)


def _hidden(body: dict[str, Any], known: Redactor) -> dict[str, Any]:
    found = {key: value if key in _DECIDED else known.json({key: value})[key] for key, value in body.items()}
    if "tags" in body:  # by themselves: hidden by what the conversation holds, they would tell it to whoever sets them
        found["tags"] = Redactor(finder=known.finder).json(body["tags"], "tags")
    return found


def _redacted(listed: Listed) -> Listed:
    """With what reviewers and models wrote as it was redacted when it was written."""
    conversation, review = listed.conversation, listed.review
    if review.redacted_handoff_reason is not None:
        conversation = replace(conversation, handoff_reason=review.redacted_handoff_reason)
    return Listed(conversation=conversation, review=review.redacted)


def detail_of(found: Found, principal: Principal, *, has_requests: bool = True) -> dict[str, Any]:
    """`has_requests` False leaves out what models were asked, which is most of a record."""
    parts = (found.turns, found.closing, found.deliveries)
    if sees_personal(principal):
        return detail(found.listed, *parts, has_requests=has_requests)
    known = known_of(found)
    shown_whole = detail(_redacted(found.listed), *parts, is_personal_shown=False, has_requests=has_requests)
    body = _hidden(shown_whole, known)
    marks = found.listed.review.redacted.annotations
    for shown_turn, turn in zip(body["turns"], found.turns, strict=True):
        shown_turn["user_input"] = shown(turn, "input", known)
        shown_turn["user_input_audio_url"] = audio_url(turn, found.conversation)
        shown_turn["agent_response"] = shown(turn, "reply", known)
        corrected: SideName = "input" if turn.corrected is None else "corrected"
        shown_turn["metadata"]["asr_corrected_user_input"] = shown(turn, corrected, known)
        shown_turn["reviews"] = [annotation_item(mark) for mark in marks if mark.turn == turn.index]
    return body


def state_of(found: Found, principal: Principal) -> dict[str, Any]:
    """The conversation's variables as they are now."""
    state = found.transcript.state if found.transcript is not None else {}
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(state))
    if sees_personal(principal):
        return plain
    hidden: dict[str, Any] = known_of(found).json({"state": plain})["state"]
    return hidden


def known_of(found: Found) -> Redactor:
    """What hides all that was found personal in a conversation, wherever in it."""
    turns = found.transcript.turns if found.transcript is not None else found.turns
    return _redactor(found.conversation, turns, found.finder)


def transcript_of(
    listed: Listed, transcript: Transcript, principal: Principal, finder: Finder, *, has_latency: bool
) -> dict[str, Any]:
    if sees_personal(principal):
        return conversations_v3.conversation(listed, transcript, is_personal_shown=True, has_latency=has_latency)
    known = _redactor(listed.conversation, transcript.turns, finder)
    bare = conversations_v3.conversation(listed, transcript, is_personal_shown=False, has_latency=has_latency)
    bare["state"] = {
        key: msgspec.json.decode(v) if isinstance(v, msgspec.Raw) else v for key, v in bare["state"].items()
    }
    body = _hidden(bare, known)
    body["state"]["call_sid"] = listed.conversation.id
    for shown_turn, turn in zip(body["turns"], transcript.turns, strict=True):
        shown_turn["user_input"] = shown(turn, "input", known)
        shown_turn["agent_response"] = shown(turn, "reply", known)
    return body


def said_of(taken: Taken) -> tuple[str, str]:
    """What was said in a turn by the user and the agent, for who may not see personal data."""
    known = Redactor([*taken.personal, (customer_of(taken.conversation), "phone")], finder=taken.finder)
    said = shown(taken.turn, "input", known) or taken.turn.input.shown_dtmf
    return said, shown(taken.turn, "reply", known)


def reply_of(taken: Taken, principal: Principal, audio_url: str | None = None) -> Any:
    """The reply itself is for whoever talks; what the agent knows besides is not."""
    body = debug_chat(taken.conversation, taken.turn, taken.snapshot, taken.metrics, audio_url=audio_url)
    if sees_personal(principal):
        return body
    values = [*taken.personal, (customer_of(taken.conversation), "phone")]
    known = Redactor(values, finder=taken.finder)
    plain = msgspec.json.decode(msgspec.json.encode(body))
    metadata = known.json({k: v for k, v in plain["metadata"].items() if k != "agentResponseAudioUrl"})
    return {**plain, "metadata": metadata | ({"agentResponseAudioUrl": audio_url} if audio_url else {})}


def annotations_of(found: Sequence[Annotation], principal: Principal) -> Sequence[Annotation]:
    return found if sees_personal(principal) else Review(annotations=tuple(found)).redacted.annotations


def _redactor(conversation: Conversation, turns: Sequence[Turn | TranscriptTurn], finder: Finder) -> Redactor:
    return redactor(turns, [customer_of(conversation)], finder)


MOST_MATCHES = 3
AROUND = 60  # characters on either side of a match


def matches_in(
    transcript: Transcript,
    listed: Listed,
    phrases: Sequence[tuple[str, ...]],
    principal: Principal,
    finder: Finder,
    only: str | None = None,
) -> list[dict[str, Any]]:
    """Where the words of a search stand, with what stands around them."""
    known = None if sees_personal(principal) else _redactor(listed.conversation, transcript.turns, finder)
    found: list[dict[str, Any]] = []
    sides: tuple[tuple[str, SideName], ...] = (("user", "input"), ("agent", "reply"))
    for turn in transcript.turns:
        if len(found) >= MOST_MATCHES:
            break
        for role, side in sides:
            if only not in (None, role):
                continue
            text = (turn.text if side == "input" else turn.reply) if known is None else shown(turn, side, known)
            place = _first(text, phrases)
            if place is not None:
                start, end = max(0, place - AROUND), place + AROUND
                snippet = ("…" if start else "") + text[start:end].strip() + ("…" if end < len(text) else "")
                found.append({"turnId": turn.index, "role": role, "snippet": snippet})
    return found[:MOST_MATCHES]


def _first(text: str, phrases: Sequence[tuple[str, ...]]) -> int | None:
    """Where the first of the words stands; None when none does."""
    wanted = {phrase[0] for phrase in phrases}
    return next((m.start() for m in _WORD.finditer(text) if wanted & set(words(m.group()))), None)
