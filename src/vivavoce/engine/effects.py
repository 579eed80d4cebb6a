"""What a function's return does: its value and what it queued, settled into one effect. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from vivavoce.domain.conversation import HandoffRequest, Notice, Transition
from vivavoce.functions.interface import Outcome


class Effect(Struct, frozen=True, kw_only=True):
    """`utterance` "" is an answer (say nothing); None is none."""

    content: str | None = None
    utterance: str | None = None
    end_turn: bool = True
    hangup: bool = False
    handoff: HandoffRequest | None = None
    transition: Transition | None = None
    variant: str | None = None
    language: str | None = None
    voice: dict[str, Any] | None = None
    disabled_topics: tuple[str, ...] | None = None
    listen: dict[str, Any] | None = None
    asr_biasing: dict[str, Any] | None = None  # {} clears it
    discards_recording: bool = False
    is_keys: bool = False  # the utterance is keys to be pressed
    notices: tuple[Notice, ...] = ()

    @property
    def ends_turn(self) -> bool:
        """True when the turn is over without asking the model again."""
        return (self.utterance is not None and self.end_turn) or self.hangup or self.handoff is not None


KEYS = frozenset(
    ["content", "utterance", "end_turn", "utterance_channel", "hangup", "handoff", "transition", "variant", "listen"]
)


def settle(outcome: Outcome) -> Effect:
    """A key of the returned object beats what was queued; a key whose value is None is as if it were absent."""
    notices: list[Notice] = [Notice(code="state", message=warning) for warning in outcome.warnings]
    returned: dict[str, Any] = {}
    if isinstance(outcome.returned, dict):
        returned = {k: v for k, v in outcome.returned.items() if v is not None}
        for key in returned.keys() - KEYS:
            notices.append(
                Notice(code="unknown_return_key", message=f"The returned key {key!r} has no meaning and was ignored.")
            )
    elif isinstance(outcome.returned, str):
        returned = {"content": outcome.returned}
        if outcome.is_odd:
            notices.append(
                Notice(
                    code="return_type",
                    message="The function returned neither text nor a dict; the model was given its JSON.",
                )
            )
    queued = outcome.queued
    utterance = returned.get("utterance", queued.utterance)
    listen = returned.get("listen")
    return Effect(
        content=_text(returned.get("content")),
        utterance=_text(utterance),
        end_turn=returned.get("end_turn", True) is not False,
        hangup=bool(returned.get("hangup", False)),
        handoff=_handoff(returned.get("handoff", queued.handoff), notices),
        transition=_transition(returned.get("transition"), outcome),
        variant=_text(returned.get("variant", queued.variant)),
        language=queued.language,
        voice=queued.voice,
        disabled_topics=queued.disabled_topics,
        listen=listen if isinstance(listen, dict) else None,
        asr_biasing=queued.asr_biasing,
        discards_recording=queued.discard_recording,
        is_keys=str(returned.get("utterance_channel", "")).upper() == "DTMF",
        notices=tuple(notices),
    )


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else str(value)


def _transition(returned: Any, outcome: Outcome) -> Transition | None:
    if isinstance(returned, dict):
        found = Transition(
            goto_flow=_text(returned.get("goto_flow")) or None,
            goto_step=_text(returned.get("goto_step")) or None,
            exit_flow=bool(returned.get("exit_flow")),
        )
        if found:
            return found
    queued = outcome.queued
    found = Transition(goto_flow=queued.goto_flow, goto_step=queued.goto_step, exit_flow=queued.exit_flow)
    return found if found else None


def _handoff(value: Any, notices: list[Notice]) -> HandoffRequest | None:
    if value is None or value is False:
        return None
    if value is True:
        return HandoffRequest(destination="default")
    if not isinstance(value, dict):
        notices.append(Notice(code="handoff", message="A handoff must be True or an object; it was ignored."))
        return None
    route = {k: v for k, v in value.items() if k not in ("type", "reason", "utterance") and isinstance(v, dict)}
    destination, reason = _text(value.get("type")) or "", _text(value.get("reason")) or ""
    only_hangs_up = set(route) == {"bye"} and not destination and not reason
    return HandoffRequest(destination=destination, reason=reason, route=route, is_transfer=not only_hangs_up)
