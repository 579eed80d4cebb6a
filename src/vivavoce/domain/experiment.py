"""An A/B test: a share of new conversations begins on another version, and the two are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct


class Experiment(Struct, frozen=True, kw_only=True):
    """`share` percent of the environment's new conversations get the variant, the others what serves it anyway."""

    id: str
    account_id: str
    agent_id: str
    name: str
    environment: str
    control: str  # the deployment that served the environment when it began
    variant: str
    share: float
    created_by: str
    created_at: datetime
    ended_at: datetime | None = None
    chosen: str | None = None  # which of the two was kept


def point_of(account_id: str, agent_id: str, environment: str, conversation_id: str) -> float:
    """Where a conversation falls in [0, 100): always the same for it, and even over all of them."""
    text = "\0".join((account_id, agent_id, environment, conversation_id))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]) / (1 << 56) * 100


def drawn(running: Sequence[Experiment], point: float) -> Experiment | None:
    """The one whose variant a conversation gets. Each has a stretch of its own, the oldest the first: they share their control."""
    edge = 0.0
    for experiment in sorted(running, key=lambda each: (each.created_at, each.id)):
        edge += experiment.share
        if point < edge:
            return experiment
    return None
