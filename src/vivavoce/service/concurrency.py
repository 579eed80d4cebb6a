"""How many conversations went on at once, at most, in each five minutes."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from msgspec import Struct

from vivavoce.domain.conversation import Conversation
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria, Order
from vivavoce.errors import AgentNotFound, Forbidden, Invalid
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.deployments import Deployments
from vivavoce.service.redaction import customer_of, sees_personal
from vivavoce.store.interface import Store

INTERVAL = timedelta(minutes=5)
LONGEST = timedelta(hours=24)  # of a conversation; one that began earlier is not looked for
MOST_DAYS = 31
BLOCK = 500
Slice: TypeAlias = Literal["variant_id", "variant_name", "language", "phone_number"]
SLICES: tuple[Slice, ...] = ("variant_id", "variant_name", "language", "phone_number")
_OLDEST_FIRST = Order(by="started_at", is_descending=False)


class Busy(Struct, frozen=True, kw_only=True):
    """`values` are those of the slice; one interval without any where nothing is sliced."""

    time: datetime
    most: int
    values: dict[Slice, str] = {}


class Concurrency:
    def __init__(self, store: Store, deployments: Deployments, audit: Audit) -> None:
        self._store = store
        self._audit = audit
        self._deployments = deployments

    async def intervals(
        self, principal: Principal, account_id: str, agent_id: str, criteria: Criteria, slices: tuple[Slice, ...]
    ) -> list[Busy]:
        """In order of time. Without slices every interval of the span is there; with them those in which somebody spoke."""
        require(principal, "read", agent_id)
        if await self._deployments.account_of(principal, agent_id) != account_id:
            raise AgentNotFound(f"There is no agent {agent_id!r} in account {account_id!r}.")
        if (criteria.contacts or "phone_number" in slices) and not sees_personal(principal):
            raise Forbidden(
                "This API key may not see personal data, so it may not ask by phone_number; it lacks the permission 'pii'."
            )
        since, until = criteria.since, criteria.until
        assert since is not None and until is not None
        if until <= since:
            raise Invalid("end_time should be after start_time.")
        if not 1971 <= since.year <= until.year < 9000:
            raise Invalid("start_time and end_time should be in years from 1971 to 8999.")
        if until - since > timedelta(days=MOST_DAYS):
            raise Invalid(f"The span from start_time to end_time may be {MOST_DAYS} days long at most.")
        if criteria.contacts or "phone_number" in slices:
            await self._audit.note(principal, "concurrency.read", account_id, agent_id)
        changes: dict[tuple[str, ...], list[tuple[datetime, int]]] = defaultdict(list)
        wanted = Criteria(
            since=since - LONGEST, until=until, environments=criteria.environments, variants=criteria.variants,
            languages=criteria.languages, contacts=criteria.contacts,
        )  # fmt: skip
        after = None
        while True:
            page = await self._store.find(account_id, agent_id, wanted, _OLDEST_FIRST, limit=BLOCK, after=after)
            for item in page.items:
                head = item.conversation
                place = tuple(_value(head, name) for name in slices)
                changes[place] += [(head.started_at, 1), (head.finished_at or head.last_turn_at, -1)]
            if page.next is None:
                break
            after = page.next
        found = [
            Busy(time=time, most=most, values=dict(zip(slices, place, strict=True)))
            for place, events in (changes.items() if slices else [((), changes.get((), []))])
            for time, most in _most(events, since, until)
            if most or not slices
        ]
        return sorted(found, key=lambda busy: (busy.time, sorted(busy.values.items())))


def _most(events: list[tuple[datetime, int]], since: datetime, until: datetime) -> list[tuple[datetime, int]]:
    """The highest number at once in each interval. One that ends in the moment in which another begins is no longer there."""
    ordered = sorted(events)
    start = since.astimezone(UTC).replace(second=0, microsecond=0)
    start -= timedelta(minutes=start.minute % 5)
    found: list[tuple[datetime, int]] = []
    now, place = 0, 0
    while start < until:
        end, most = start + INTERVAL, 0
        while place < len(ordered) and ordered[place][0] < start:
            now += ordered[place][1]
            place += 1
        most = now
        while place < len(ordered) and ordered[place][0] < end:
            now += ordered[place][1]
            most = max(most, now)
            place += 1
        found.append((start, most))
        start = end
    return found


def _value(head: Conversation, name: Slice) -> str:
    match name:
        case "language":
            return head.language
        case "phone_number":
            return customer_of(head)
        case _:
            return head.variant or ""
