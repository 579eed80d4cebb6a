"""What a call adds to a turn: where it is in the recording, how it was heard, and where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from msgspec import Struct

from vivavoce.domain.call import Played, Spoken
from vivavoce.domain.conversation import Turn


class Percentiles(Struct, frozen=True, kw_only=True):
    """Milliseconds, over the turns of one conversation that the caller spoke in."""

    p50: float
    p95: float
    most: float
    turns: int


def of_turn(turn: Turn, *, is_personal_shown: bool) -> dict[str, Any] | None:
    """None for a turn that was not spoken. Offsets are samples at 16 kHz from the start of the recording."""
    spoken, played = turn.input.spoken, turn.played
    if spoken is None and played is None:
        return None
    spoken, played = spoken or Spoken(), played or Played()
    return {
        "user": {
            "start": spoken.start,
            "end": spoken.end,
            "confidence": spoken.confidence,
            "recognizer": spoken.recognizer,
            "language": spoken.language,
        },
        "agent": {"start": played.start, "end": played.end, "synthesizer": played.synthesizer},
        "interrupted": bool(turn.unplayed),
        # What nobody heard was not looked at for personal data.
        "unplayed": turn.unplayed if is_personal_shown else "",
        "latency": breakdown(turn),
        "problems": list(played.problems),
    }


def breakdown(turn: Turn) -> dict[str, float]:
    """Where the time went from the end of the caller's speech to the agent's first sound; the engine's own parts lie
    within `first_text`."""
    spoken, played = turn.input.spoken or Spoken(), turn.played or Played()
    found = {
        "endpointing": spoken.endpointing,
        "recognition": spoken.recognition,
        "retrieval": turn.timings.retrieval,
        "model_first_token": _first_token(turn),
        "functions": turn.timings.functions,
        "first_text": played.first_text,
        "synthesis": played.synthesis,
        "transport": played.transport,
    }
    return found if played.perceived is None else {**found, "perceived": played.perceived}


def percentiles(turns: Sequence[Turn]) -> dict[str, Percentiles] | None:
    """Of each component; None where nobody spoke."""
    spoken = [breakdown(turn) for turn in turns if turn.input.text and turn.played is not None]
    if not spoken:
        return None
    found = {}
    for name in dict.fromkeys(name for parts in spoken for name in parts):
        values = sorted(parts[name] for parts in spoken if name in parts)
        found[name] = Percentiles(p50=_at(values, 0.5), p95=_at(values, 0.95), most=values[-1], turns=len(values))
    return found


def _at(values: Sequence[float], share: float) -> float:
    return values[max(0, ceil(len(values) * share) - 1)]


def _first_token(turn: Turn) -> float:
    exchange = next((e for e in turn.exchanges if e.purpose == "turn" and e.first_text_at is not None), None)
    if exchange is None or exchange.first_text_at is None:
        return 0.0
    return round((exchange.first_text_at - exchange.started_at).total_seconds() * 1000, 1)
