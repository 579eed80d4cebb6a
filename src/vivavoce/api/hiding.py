"""What a key without the right to personal data is shown: every body passes through here on its way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from vivavoce.domain.conversation import Conversation, Turn
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Listed, Transcript, TranscriptTurn
from vivavoce.redaction.redact import Redactor
from vivavoce.service.chats import Taken
from vivavoce.service.conversations import Found
from vivavoce.service.redaction import SideName, redactor, sees_personal, shown
from vivavoce.wire import conversations_v3
from vivavoce.wire.chat import debug_chat
from vivavoce.wire.conversations import detail, summary

_PLAIN = Redactor()


def summary_of(listed: Listed, principal: Principal) -> dict[str, Any]:
    if sees_personal(principal):
        return summary(listed)
    return dict(_PLAIN.json(summary(listed, is_personal_shown=False)))


def detail_of(found: Found, principal: Principal) -> dict[str, Any]:
    parts = (found.listed, found.turns, found.closing, found.deliveries)
    if sees_personal(principal):
        return detail(*parts)
    known = _redactor(found.conversation, found.turns)
    body = known.json(detail(*parts, is_personal_shown=False))
    for shown_turn, turn in zip(body["turns"], found.turns, strict=True):
        shown_turn["user_input"] = shown(turn, "input", known)
        shown_turn["agent_response"] = shown(turn, "reply", known)
        corrected: SideName = "input" if turn.corrected is None else "corrected"
        shown_turn["metadata"]["asr_corrected_user_input"] = shown(turn, corrected, known)
    return dict(body)


def transcript_of(listed: Listed, transcript: Transcript, principal: Principal, *, has_latency: bool) -> dict[str, Any]:
    if sees_personal(principal):
        return conversations_v3.conversation(listed, transcript, is_personal_shown=True, has_latency=has_latency)
    known = _redactor(listed.conversation, transcript.turns)
    bare = conversations_v3.conversation(listed, transcript, is_personal_shown=False, has_latency=has_latency)
    bare["state"] = {
        key: msgspec.json.decode(v) if isinstance(v, msgspec.Raw) else v for key, v in bare["state"].items()
    }
    body = known.json(bare)
    for shown_turn, turn in zip(body["turns"], transcript.turns, strict=True):
        shown_turn["user_input"] = shown(turn, "input", known)
        shown_turn["agent_response"] = shown(turn, "reply", known)
    return dict(body)


def reply_of(taken: Taken, principal: Principal) -> Any:
    """The reply itself is for whoever talks; what the agent knows besides is not."""
    body = debug_chat(taken.conversation, taken.turn, taken.snapshot, taken.metrics)
    if sees_personal(principal):
        return body
    known = _redactor(taken.conversation, [taken.turn])
    plain = msgspec.json.decode(msgspec.json.encode(body))
    return {**plain, "metadata": known.json(plain["metadata"])}


def plain_of(body: Any, principal: Principal) -> Any:
    """Anything else whose keys are ours."""
    return body if sees_personal(principal) else _PLAIN.json(body)


def json_of(body: Any, principal: Principal) -> Any:
    """Anything else, whose keys author code has chosen."""
    return body if sees_personal(principal) else _PLAIN.json(body, is_free=True)


def _redactor(conversation: Conversation, turns: Sequence[Turn | TranscriptTurn]) -> Redactor:
    customer = conversation.to_number if conversation.direction == "outbound" else conversation.from_number
    return redactor(turns, [customer or ""])
