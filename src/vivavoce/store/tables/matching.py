"""Criteria as an index of facets, times and durations knows them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from vivavoce.domain.record import Criteria
from vivavoce.store import facets
from vivavoce.store.sealing import Keyring

FIRST, LAST = 0, 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


class Matching(Struct, frozen=True, kw_only=True):
    """Groups of alternatives, the rarest first; bounds on numbers and durations."""

    scope: int
    every: int  # the facet of all conversations of the agent
    groups: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    low: int
    high: int
    durations: tuple[int, int] | None
    words: tuple[str, str] | None = None  # the index, and what to match in it

    @property
    def telling(self) -> tuple[tuple[int, ...], ...]:
        """The groups that say more than that a conversation is the agent's, which its scope says already."""
        return tuple(group for group in self.groups if group != (self.every,))

    @property
    def is_everything(self) -> bool:
        return (
            len(self.groups) == 1
            and self.durations is None
            and self.words is None
            and (self.low, self.high) == (FIRST, LAST)
        )

    @property
    def is_nothing(self) -> bool:
        return not all(self.groups) or self.low > self.high


async def matching(
    keyring: Keyring,
    scope: int,
    criteria: Criteria,
    size: Callable[[tuple[int, ...]], Awaitable[int]],
    words: tuple[str, str] | None,
) -> Matching:
    """`size` tells how many conversations have one of the facets; it need not tell beyond the point where that is many."""
    groups = [
        tuple(dict.fromkeys(keyring.facet(scope, name, value) for name, value in group))
        for group in [(facets.EVERY,), *facets.wanted(criteria)]
    ]
    sized = sorted([(await size(group), n, group) for n, group in enumerate(groups)], key=lambda item: item[:2])
    if len(sized) > 1:
        sized = [item for item in sized if item[1] != 0]  # every conversation of the agent: another group says more
    has_durations = criteria.min_duration is not None or criteria.max_duration is not None
    return Matching(
        scope=scope,
        every=keyring.facet(scope, *facets.EVERY),
        groups=tuple(group for _, _, group in sized),
        sizes=tuple(size for size, _, _ in sized),
        low=max(FIRST, microseconds(criteria.since)) if criteria.since is not None else FIRST,
        high=microseconds(criteria.until) - 1 if criteria.until is not None else LAST,
        durations=(criteria.min_duration or 0, LAST if criteria.max_duration is None else criteria.max_duration)
        if has_durations
        else None,
        words=words,
    )
