"""What is counted of ended conversations, by day: numbers that can be added up, and outlive what they were counted from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

Part: TypeAlias = Literal["outcome", "inside"]  # how conversations went; what within the agent took part in them
STEPS_PER_DOUBLING = 12  # of the histogram of latencies: one step is 6 %


class Tally(Struct, frozen=True, kw_only=True):
    """The counts of one day and environment. A name within a count stands after a NUL: `calls\\0look_up`."""

    day: str  # 2026-01-31, where the server's clock is
    environment: str
    counts: dict[str, int]


def added(tallies: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in tallies:
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return total


def step_of(milliseconds: float) -> int:
    """Where a duration falls in the histogram."""
    return round(STEPS_PER_DOUBLING * math.log2(max(1.0, milliseconds)))


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """The duration, in milliseconds, that so many of those in a histogram stay under; None where there are none."""
    wanted = share * sum(counts.values())
    reached = 0
    for step in sorted(counts):
        reached += counts[step]
        if reached >= wanted and reached:
            return float(2 ** (step / STEPS_PER_DOUBLING))
    return None
