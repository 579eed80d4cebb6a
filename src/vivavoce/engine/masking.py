"""Secrets that author code gives back, logs or keeps are shown by name: no trace holds their values."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from vivavoce.functions.interface import Outcome
from vivavoce.secrets.interface import Secrets


def masked(outcome: Outcome, secrets: Secrets, agent_id: str) -> Outcome:
    """conv.state itself is a pickle that only a worker opens, and is left as it is; its view is not."""
    if not secrets.has_any(agent_id):
        return outcome

    def text(value: str) -> str:
        return secrets.mask(agent_id, value)

    def plain(value: Any) -> Any:
        if isinstance(value, str):
            return text(value)
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value

    queued = outcome.queued
    return replace(
        outcome,
        returned=plain(outcome.returned),
        error=text(outcome.error) if outcome.error else outcome.error,
        queued=replace(queued, utterance=text(queued.utterance)) if queued.utterance else queued,
        metrics=tuple(replace(m, value=plain(m.value)) for m in outcome.metrics),
        logs=tuple(replace(e, content=text(e.content), fields=plain(e.fields)) for e in outcome.logs),
        messages=tuple(replace(m, content=text(m.content), fields=plain(m.fields)) for m in outcome.messages),
        view={key: msgspec.json.encode(plain(msgspec.json.decode(value))) for key, value in outcome.view.items()},
    )
