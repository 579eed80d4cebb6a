"""Which conversations match: statements over facets, times and durations that read no more than the page needs."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from vivavoce.domain.record import Count, Criteria, Order, Position
from vivavoce.store import facets
from vivavoce.store.sealing import Keyring
from vivavoce.store.sqlite import searching

EXACT_UP_TO = 10_000  # matches that are counted one by one
FEW = 20_000  # matches that are sorted rather than walked past
_SOME = 500  # numbers that one statement names
FIRST, LAST = 0, 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


class Matching(Struct, frozen=True, kw_only=True):
    """Criteria as the index knows them: groups of alternatives, the rarest first; bounds on numbers and durations."""

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


def matching(c: sqlite3.Connection, keyring: Keyring, scope: int, criteria: Criteria) -> Matching:
    groups = [
        tuple(dict.fromkeys(keyring.facet(scope, name, value) for name, value in group))
        for group in [(facets.EVERY,), *facets.wanted(criteria)]
    ]
    sized = sorted(((_size(c, group), n, group) for n, group in enumerate(groups)), key=lambda item: item[:2])
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
        words=searching.matching(keyring, scope, criteria.text) if criteria.text is not None else None,
    )


def page(
    c: sqlite3.Connection, wanted: Matching, order: Order, after: Position | None, *, limit: int, offset: int
) -> list[Position]:
    """Positions in order, `limit` at most."""
    if not all(wanted.groups) or wanted.low > wanted.high:
        return []
    values: dict[str, Any] = {"limit": limit, "offset": offset, "low": wanted.low, "high": wanted.high}
    if order.by == "started_at":
        if after is not None:
            bound = "high" if order.is_descending else "low"
            values[bound] = (min if order.is_descending else max)(
                values[bound], after.number - 1 if order.is_descending else after.number + 1
            )
        sql = _by_number(c, wanted, order, values)
        return [Position(number=row[0]) for row in c.execute(sql, values)]
    sql = _by_value(wanted, order, after, values)
    return [Position(value=row[1], number=row[0]) for row in c.execute(sql, values)]


def count(c: sqlite3.Connection, wanted: Matching) -> Count:
    if not all(wanted.groups) or wanted.low > wanted.high:
        return Count(number=0)
    if wanted.is_everything and len(wanted.groups[0]) == 1:
        return Count(number=wanted.sizes[0])
    values: dict[str, Any] = {"limit": EXACT_UP_TO + 1, "offset": 0, "low": wanted.low, "high": wanted.high}
    sql = f"SELECT count(*) FROM ({_by_number(c, wanted, Order(), values)})"  # noqa: S608  # made of constants and integers
    (found,) = c.execute(sql, values).fetchone()
    return Count(number=min(found, EXACT_UP_TO), is_exact=found <= EXACT_UP_TO)


def among(c: sqlite3.Connection, wanted: Matching, numbers: Sequence[int]) -> list[int]:
    """Those of the numbers that match, in their order."""
    if not all(wanted.groups):
        return []
    checks = _checks(wanted.telling, wanted.durations)
    kept: set[int] = set()
    for start in range(0, len(numbers), _SOME):
        some = ", ".join(str(number) for number in numbers[start : start + _SOME])
        kept.update(
            row[0] for row in c.execute(f"SELECT d.number FROM conversations d WHERE d.number IN ({some}){checks}")
        )
    return [number for number in numbers if number in kept]


def sample(c: sqlite3.Connection, wanted: Matching, start: int, limit: int) -> list[int]:
    """Numbers at random: few matches are shuffled, many are met in the order of their dice from `start` on, and around."""
    if not all(wanted.groups) or wanted.low > wanted.high:
        return []
    values: dict[str, Any] = {"limit": FEW + 1, "offset": 0, "low": wanted.low, "high": wanted.high}
    few = [row[0] for row in c.execute(_by_number(c, wanted, Order(), values), values)]
    if len(few) <= FEW:
        return random.sample(few, min(limit, len(few)))
    found: list[int] = []
    for bound in (f">= {start}", f"< {start}"):
        sql = (
            f"SELECT d.number FROM conversations d INDEXED BY conversations_by_dice"
            f" WHERE d.scope = {wanted.scope} AND d.dice {bound}"
            f" AND d.number BETWEEN :low AND :high{_checks(wanted.telling, wanted.durations)}"
            " ORDER BY d.dice LIMIT :limit"
        )
        values["limit"] = limit - len(found)
        found += [row[0] for row in c.execute(sql, values)]
    return found


def _by_number(c: sqlite3.Connection, wanted: Matching, order: Order, values: dict[str, Any]) -> str:
    """In order of time. One arm for each alternative of the rarest group: their rows are merged as they are read."""
    way = "DESC" if order.is_descending else "ASC"
    if wanted.words is not None:
        table, values["match"] = wanted.words
        return (
            f"SELECT d.rowid AS number FROM {table} d WHERE {table} MATCH :match AND d.rowid BETWEEN :low AND :high"
            f"{_checks(wanted.telling, wanted.durations, 'd.rowid')} ORDER BY d.rowid {way} LIMIT :limit OFFSET :offset"
        )
    if _has_few_durations(c, wanted):
        return (
            f"SELECT d.number FROM conversations d INDEXED BY conversations_by_duration WHERE d.scope = {wanted.scope}"
            f" AND d.duration IS NOT NULL AND d.duration BETWEEN {wanted.durations[0]} AND {wanted.durations[1]}"  # type: ignore[index]
            f" AND d.number BETWEEN :low AND :high{_checks(wanted.telling, None)}"
            f" ORDER BY d.number {way} LIMIT :limit OFFSET :offset"
        )
    driver, *others = wanted.groups
    checks = _checks(others, wanted.durations)
    arms = (
        f"SELECT d.number FROM facets d WHERE d.facet = {facet} AND d.number BETWEEN :low AND :high{checks}"  # noqa: S608
        for facet in driver
    )
    return f"{' UNION '.join(arms)} ORDER BY 1 {way} LIMIT :limit OFFSET :offset"


def _by_value(wanted: Matching, order: Order, after: Position | None, values: dict[str, Any]) -> str:
    """In order of a duration or score: few matches are sorted, many are walked in the order of the index."""
    column, way = order.by, "DESC" if order.is_descending else "ASC"
    groups: Sequence[tuple[int, ...]] = wanted.telling
    if groups and wanted.sizes[0] <= FEW:
        members = ", ".join(str(facet) for facet in groups[0])
        few = f"(SELECT DISTINCT number AS n FROM facets WHERE facet IN ({members})) f"
        source = f"{few} CROSS JOIN conversations d ON d.number = f.n WHERE 1"
        groups = groups[1:]
    else:
        source = f"conversations d INDEXED BY conversations_by_{column} WHERE d.scope = {wanted.scope}"
    # The plus keeps the bounds on numbers from being taken for the way in: the index is in order of the value.
    rest = f" AND +d.number BETWEEN :low AND :high{_checks(groups, wanted.durations)}"
    if wanted.words is not None:
        table, values["match"] = wanted.words
        rest += f" AND d.number IN (SELECT rowid FROM {table} WHERE {table} MATCH :match)"
    starts = [f" AND d.{column} IS NOT NULL"]
    if after is not None:
        values.update(value=after.value, number=after.number)
        sign = "<" if order.is_descending else ">"
        # Two arms rather than one comparison of pairs, which would walk through all that have the same value.
        starts = [f" AND d.{column} = :value AND d.number {sign} :number", f" AND d.{column} {sign} :value"]
    arms = (f"SELECT d.number, d.{column} FROM {source}{start}{rest}" for start in starts)
    return f"{' UNION ALL '.join(arms)} ORDER BY 2 {way}, 1 {way} LIMIT :limit OFFSET :offset"


def _checks(groups: Sequence[tuple[int, ...]], durations: tuple[int, int] | None, number: str = "d.number") -> str:
    found = ""
    for group in groups:
        members = ", ".join(str(facet) for facet in group)
        found += f" AND EXISTS (SELECT 1 FROM facets WHERE facet IN ({members}) AND number = {number})"
    if durations is not None:
        found += (
            f" AND EXISTS (SELECT 1 FROM conversations WHERE number = {number}"
            f" AND duration BETWEEN {durations[0]} AND {durations[1]})"
        )
    return found


def _has_few_durations(c: sqlite3.Connection, wanted: Matching) -> bool:
    if wanted.durations is None or wanted.sizes[0] <= FEW:
        return False
    sql = (
        "SELECT count(*) FROM (SELECT 1 FROM conversations WHERE scope = ? AND duration BETWEEN ? AND ?"
        f" LIMIT {FEW + 1})"
    )
    found: int = c.execute(sql, (wanted.scope, *wanted.durations)).fetchone()[0]
    return found <= FEW


def _size(c: sqlite3.Connection, group: tuple[int, ...]) -> int:
    sizes = (c.execute("SELECT count FROM facet_counts WHERE facet = ?", (facet,)).fetchone() for facet in group)
    return sum(row[0] for row in sizes if row is not None)
