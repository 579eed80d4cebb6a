"""Secrets that author code gives back, logs or keeps are shown by name: no trace holds their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from vivavoce.functions.interface import Outcome
from vivavoce.secrets.interface import Secrets

Mask: TypeAlias = Callable[[Any], Any]


def masker(secrets: Secrets, agent_id: str) -> Mask:
    """What shows plain data with every secret in it replaced by its name; nothing is changed when the agent has none."""
    if not secrets.has_any(agent_id):
        return lambda value: value

    def shown(value: Any) -> Any:
        if isinstance(value, str):
            return secrets.mask(agent_id, value)
        if isinstance(value, dict):
            return {shown(k) if isinstance(k, str) else k: shown(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [shown(v) for v in value]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            text = str(value)
            return value if secrets.mask(agent_id, text) == text else secrets.mask(agent_id, text)
        return value

    return shown


def masked(outcome: Outcome, mask: Mask) -> Outcome:
    """conv.state itself is a pickle that only a worker opens, and is left as it is; its view is not."""
    queued = outcome.queued
    return replace(
        outcome,
        returned=mask(outcome.returned),
        error=mask(outcome.error),
        queued=replace(
            queued,
            utterance=mask(queued.utterance),
            handoff=mask(queued.handoff),
            goto_flow=mask(queued.goto_flow),
            goto_step=mask(queued.goto_step),
            voice=mask(queued.voice),
            asr_biasing=mask(queued.asr_biasing),
        ),
        metrics=tuple(replace(m, name=mask(m.name), value=mask(m.value)) for m in outcome.metrics),
        logs=tuple(replace(e, content=mask(e.content), fields=mask(e.fields)) for e in outcome.logs),
        messages=tuple(
            replace(m, to=mask(m.to), sender=mask(m.sender), content=mask(m.content), fields=mask(m.fields))
            for m in outcome.messages
        ),
        view={mask(k): msgspec.json.encode(mask(msgspec.json.decode(v))) for k, v in outcome.view.items()},
        warnings=tuple(mask(warning) for warning in outcome.warnings),
    )
