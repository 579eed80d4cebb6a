"""How conversations went, and what within the agent took part in them, by day: counted once each has ended, in the background."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from msgspec import Struct

from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import Closing, FunctionCall, Turn
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria, Listed, Position
from vivavoce.domain.tally import Part, Tally, added, percentile, step_of
from vivavoce.domain.work import Work
from vivavoce.service.access import require
from vivavoce.service.deployments import Deployments
from vivavoce.store.interface import Store

TALLY = "tally"  # kind of work: count what ended before there were counts
BLOCK = 20  # conversations in memory at once
MOST_DAYS = 366


class Day(Struct, frozen=True, kw_only=True):
    """One day's outcome. Latencies in milliseconds; what there was none of is None."""

    day: str
    conversations: int = 0
    handoffs: int = 0
    failed: int = 0  # conversations in which something failed
    turns: int = 0
    seconds: int = 0
    tokens: int = 0
    scored: int = 0
    scores: int = 0  # added up
    latencies: dict[int, int] = {}

    @property
    def containment(self) -> float | None:
        """The share that ended without a handoff."""
        return 1 - self.handoffs / self.conversations if self.conversations else None

    @property
    def handoff_rate(self) -> float | None:
        return self.handoffs / self.conversations if self.conversations else None

    @property
    def failure_rate(self) -> float | None:
        return self.failed / self.conversations if self.conversations else None

    @property
    def score(self) -> float | None:
        return self.scores / self.scored if self.scored else None

    @property
    def median(self) -> float | None:
        return percentile(self.latencies, 0.5)

    @property
    def p95(self) -> float | None:
        return percentile(self.latencies, 0.95)

    @property
    def handle_time(self) -> float | None:
        """Seconds."""
        return self.seconds / self.conversations if self.conversations else None


class Overview(Struct, frozen=True, kw_only=True):
    """`total` is all of `days`, in which no day is missing; `today` and `live` count conversations as they are now."""

    days: list[Day]
    total: Day
    today: int
    is_today_exact: bool
    live: int


class FunctionUse(Struct, frozen=True, kw_only=True):
    calls: int = 0
    failed: int = 0
    milliseconds: int = 0  # added up

    @property
    def mean(self) -> float | None:
        return self.milliseconds / self.calls if self.calls else None

    @property
    def failure_rate(self) -> float | None:
        return self.failed / self.calls if self.calls else None


class TopicUse(Struct, frozen=True, kw_only=True):
    retrieved: int = 0
    cited: int = 0


class Inside(Struct, frozen=True, kw_only=True):
    """What of an agent took part: functions by module, topics by name; steps and moves by node, which is `flow/step` or `global`."""

    functions: dict[str, FunctionUse]
    topics: dict[str, TopicUse]
    steps: dict[str, int]
    moves: dict[tuple[str, str], int]


class Statistics:
    def __init__(self, store: Store, clock: Clock, deployments: Deployments, *, time_zone: str) -> None:
        self._store = store
        self._clock = clock
        self._deployments = deployments
        self._zone = ZoneInfo(time_zone)

    # Counting.

    async def count(self, listed: Listed, turns: Sequence[Turn], closing: Closing | None) -> None:
        """Once; asked again for the same conversation, it does nothing."""
        day = listed.conversation.started_at.astimezone(self._zone).date().isoformat()
        counts: dict[Part, Mapping[str, int]] = {
            "outcome": outcome(listed, turns, closing),
            "inside": inside(turns, closing),
        }
        await self._store.tally(listed.conversation, day, counts)

    async def catch_up(self, work: Work) -> datetime | None:
        """Background work: counts what was reviewed before there were counts. What was not reviewed is counted when it is."""
        after = Position(number=work.payload["after"]) if work.payload else None
        page = await self._store.untallied(after=after, limit=BLOCK)
        for listed in page.items:
            if listed.review.summary is not None:
                turns = await self._store.turns(listed.conversation)
                await self.count(listed, turns, await self._store.closing(listed.conversation))
        if page.next is not None:
            await self._go_on({"after": page.next.number})
        return None

    async def begin_catching_up(self) -> None:
        if (await self._store.untallied(limit=1)).items:
            await self._go_on({})

    async def _go_on(self, payload: dict[str, int]) -> None:
        """Added again while it is done, it is done again: other slow work comes between two blocks."""
        await self._store.add_work([Work(kind=TALLY, key="", due_at=self._clock.now(), payload=payload)])

    # Reading.

    async def overview(
        self, principal: Principal, agent_id: str, days: int, *, environment: str | None = None
    ) -> Overview:
        """The last `days` days, today included."""
        account_id, (first, last) = await self._account(principal, agent_id), self._span(days)
        tallies = await self._store.tallies(account_id, agent_id, "outcome", first, last)
        wanted = [t for t in tallies if environment in (None, t.environment)]
        environments = (environment,) if environment is not None else ()
        today = await self._store.count(
            account_id, agent_id, Criteria(since=self._midnight(), environments=environments)
        )
        live = await self._store.count(account_id, agent_id, Criteria(in_progress=True, environments=environments))
        return Overview(
            days=[_day(day, [t.counts for t in wanted if t.day == day]) for day in self._each(days)],
            total=_day("", [t.counts for t in wanted]),
            today=today.number,
            is_today_exact=today.is_exact,
            live=live.number,
        )

    async def inside(self, principal: Principal, agent_id: str, days: int) -> Inside:
        account_id, (first, last) = await self._account(principal, agent_id), self._span(days)
        return _inside(await self._store.tallies(account_id, agent_id, "inside", first, last))

    async def _account(self, principal: Principal, agent_id: str) -> str:
        require(principal, "read", agent_id)
        return await self._deployments.account_of(principal, agent_id)

    def _midnight(self) -> datetime:
        return self._clock.now().astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)

    def _each(self, days: int) -> list[str]:
        today = self._midnight().date()
        return [(today - timedelta(days=n)).isoformat() for n in reversed(range(min(days, MOST_DAYS)))]

    def _span(self, days: int) -> tuple[str, str]:
        each = self._each(days)
        return each[0], each[-1]


def outcome(listed: Listed, turns: Sequence[Turn], closing: Closing | None) -> dict[str, int]:
    """How one conversation went."""
    conversation, score = listed.conversation, listed.review.score
    calls = [*(call for turn in turns for call in turn.calls), *(closing.calls if closing is not None else ())]
    exchanges = [exchange for turn in turns for exchange in turn.exchanges]
    has_failed = any(call.error for call in calls) or any(exchange.error for exchange in exchanges)
    replies = [exchange.reply for exchange in exchanges if exchange.reply is not None]
    found = Counter(
        conversations=1,
        handoffs=int(conversation.is_handoff),
        failed=int(has_failed or any(turn.is_interrupted for turn in turns)),
        turns=max(0, len(turns) - 1),
        seconds=conversation.seconds,
        tokens=sum(reply.prompt_tokens + reply.completion_tokens for reply in replies),
    )
    if score is not None and score.value is not None:
        found.update(scored=1, scores=score.value)
    for turn in turns[1:]:
        # In a call, what the caller has waited for; where nobody spoke, nobody waited.
        waited = turn.timings.total if turn.played is None else turn.played.perceived
        if waited is not None:
            found[f"latency\0{step_of(waited)}"] += 1
    return {name: count for name, count in found.items() if count}


def inside(turns: Sequence[Turn], closing: Closing | None) -> dict[str, int]:
    """What within the agent took part in one conversation."""
    found: Counter[str] = Counter()
    for turn in turns:
        found.update(f"retrieved\0{name}" for name, _ in turn.topics)
        if turn.cited_topic:
            found[f"cited\0{turn.cited_topic}"] += 1
        visited = [node for node in turn.node_trace if not node.startswith("function:")]
        nodes = [turn.place.node, *visited]
        found.update(f"step\0{node}" for node in visited or (turn.place_after.node,))
        found.update(f"move\0{a}\0{b}" for a, b in pairwise(nodes) if a != b)
        _count_calls(found, turn.calls)
    if closing is not None:
        _count_calls(found, closing.calls)
    return dict(found)


def _count_calls(found: Counter[str], calls: Sequence[FunctionCall]) -> None:
    for call in calls:
        found[f"calls\0{call.module}"] += 1
        found[f"ms\0{call.module}"] += round(call.duration_ms)
        if call.error:
            found[f"errors\0{call.module}"] += 1


def _day(day: str, counts: Sequence[Mapping[str, int]]) -> Day:
    total = added(counts)
    latencies = {int(name[8:]): count for name, count in total.items() if name.startswith("latency\0")}
    names = ("conversations", "handoffs", "failed", "turns", "seconds", "tokens", "scored", "scores")
    return Day(day=day, latencies=latencies, **{name: total.get(name, 0) for name in names})


def _inside(tallies: Sequence[Tally]) -> Inside:
    kinds: dict[str, dict[str, int]] = {}
    for name, count in added(t.counts for t in tallies).items():
        kind, _, rest = name.partition("\0")
        kinds.setdefault(kind, {})[rest] = count
    calls, errors, took = kinds.get("calls", {}), kinds.get("errors", {}), kinds.get("ms", {})
    retrieved, cited = kinds.get("retrieved", {}), kinds.get("cited", {})
    return Inside(
        functions={
            name: FunctionUse(calls=count, failed=errors.get(name, 0), milliseconds=took.get(name, 0))
            for name, count in calls.items()
        },
        topics={
            name: TopicUse(retrieved=retrieved.get(name, 0), cited=cited.get(name, 0)) for name in {*retrieved, *cited}
        },
        steps=kinds.get("step", {}),
        moves={(a, b): n for (a, _, b), n in ((m.partition("\0"), n) for m, n in kinds.get("move", {}).items())},
    )
