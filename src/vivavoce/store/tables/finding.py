"""Which conversations match: statements over facets, times and durations that read no more than the page needs."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from vivavoce.domain.record import Count, Criteria, Order, Position
from vivavoce.store.sealing import Keyring
from vivavoce.store.tables import matching
from vivavoce.store.tables.connection import Connection
from vivavoce.store.tables.engine import Words
from vivavoce.store.tables.matching import Matching

EXACT_UP_TO = 10_000  # matches that are counted one by one
FEW = 20_000  # matches that are sorted rather than walked past
_SOME = 500  # numbers that one statement names


class TableFinding(ABC):
    """The statements; what an engine says in its own way is left to it."""

    def __init__(self, keyring: Keyring, words: Words) -> None:
        self._keyring = keyring
        self._words = words

    # What the engines say differently.

    @abstractmethod
    async def _size(self, c: Connection, facet: int) -> tuple[int, bool]:
        """How many conversations have the facet, and whether that is exact."""

    @abstractmethod
    def _by_words(self, index: str, checks: str, way: str) -> str:
        """Those that match `:match` between `:low` and `:high`, in order of number."""

    @abstractmethod
    def _with_words(self, index: str) -> str:
        """The condition that `d` is among those that match `:match`."""

    @abstractmethod
    def _merged(self, arms: Sequence[str], way: str) -> str:
        """The numbers of several statements, each once, in order: their rows are merged as they are read."""

    def _hinted(self, index: str) -> str:
        """How the planner is told which index to go by."""
        return ""

    def _beside(self, column: str) -> str:
        """A column that the planner should not go by."""
        return column

    # What they say alike.

    async def matching(self, c: Connection, scope: int, criteria: Criteria) -> Matching:
        words = self._words.matching(scope, criteria.text) if criteria.text is not None else None

        async def size(group: tuple[int, ...]) -> int:
            return sum([(await self._size(c, facet))[0] for facet in group])

        return await matching.matching(self._keyring, scope, criteria, size, words)

    async def page(
        self, c: Connection, wanted: Matching, order: Order, after: Position | None, *, limit: int, offset: int
    ) -> list[Position]:
        if wanted.is_nothing:
            return []
        values: dict[str, Any] = {"limit": limit, "offset": offset, "low": wanted.low, "high": wanted.high}
        if order.by == "started_at":
            if after is not None:
                bound = "high" if order.is_descending else "low"
                values[bound] = (min if order.is_descending else max)(
                    values[bound], after.number - 1 if order.is_descending else after.number + 1
                )
            sql = await self._by_number(c, wanted, order, values)
            return [Position(number=row[0]) for row in await c.select(sql, values)]
        sql = self._by_value(wanted, order, after, values)
        return [Position(value=row[1], number=row[0]) for row in await c.select(sql, values)]

    async def count(self, c: Connection, wanted: Matching) -> Count:
        if wanted.is_nothing:
            return Count(number=0)
        if wanted.is_everything and len(wanted.groups[0]) == 1:
            number, is_exact = await self._size(c, wanted.groups[0][0])
            return Count(number=number, is_exact=is_exact)
        values: dict[str, Any] = {"limit": EXACT_UP_TO + 1, "offset": 0, "low": wanted.low, "high": wanted.high}
        sql = f"SELECT count(*) FROM ({await self._by_number(c, wanted, Order(), values)}) counted"
        ((found,),) = await c.select(sql, values)
        return Count(number=min(found, EXACT_UP_TO), is_exact=found <= EXACT_UP_TO)

    async def among(self, c: Connection, wanted: Matching, numbers: Sequence[int]) -> list[int]:
        if not all(wanted.groups):
            return []
        checks = _checks(wanted.telling, wanted.durations)
        kept: set[int] = set()
        for start in range(0, len(numbers), _SOME):
            some = ", ".join(str(number) for number in numbers[start : start + _SOME])
            sql = f"SELECT d.number FROM conversations d WHERE d.number IN ({some}){checks}"
            kept.update(row[0] for row in await c.select(sql))
        return [number for number in numbers if number in kept]

    async def sample(self, c: Connection, wanted: Matching, start: int, limit: int) -> list[int]:
        """Few matches are shuffled, many are met in the order of their dice from `start` on, and around."""
        if wanted.is_nothing:
            return []
        values: dict[str, Any] = {"limit": FEW + 1, "offset": 0, "low": wanted.low, "high": wanted.high}
        few = [row[0] for row in await c.select(await self._by_number(c, wanted, Order(), values), values)]
        if len(few) <= FEW:
            return random.sample(few, min(limit, len(few)))
        found: list[int] = []
        for bound in (f">= {start}", f"< {start}"):
            sql = (
                f"SELECT d.number FROM conversations d{self._hinted('conversations_by_dice')}"
                f" WHERE d.scope = {wanted.scope} AND d.dice {bound}"
                f" AND d.number BETWEEN :low AND :high{_checks(wanted.telling, wanted.durations)}"
                " ORDER BY d.dice LIMIT :limit"
            )
            values["limit"] = limit - len(found)
            found += [row[0] for row in await c.select(sql, values)]
        return found

    async def _by_number(self, c: Connection, wanted: Matching, order: Order, values: dict[str, Any]) -> str:
        """In order of time. One arm for each alternative of the rarest group."""
        way = "DESC" if order.is_descending else "ASC"
        if wanted.words is not None:
            index, values["match"] = wanted.words
            return self._by_words(index, _checks(wanted.telling, wanted.durations), way)
        if await self._has_few_durations(c, wanted):
            return (
                f"SELECT d.number FROM conversations d{self._hinted('conversations_by_duration')}"
                f" WHERE d.scope = {wanted.scope}"
                f" AND d.duration IS NOT NULL AND d.duration BETWEEN {wanted.durations[0]} AND {wanted.durations[1]}"  # type: ignore[index]
                f" AND d.number BETWEEN :low AND :high{_checks(wanted.telling, None)}"
                f" ORDER BY d.number {way} LIMIT :limit OFFSET :offset"
            )
        driver, *others = wanted.groups
        checks = _checks(others, wanted.durations)
        arms = [
            f"SELECT d.number FROM facets d WHERE d.facet = {facet} AND d.number BETWEEN :low AND :high{checks}"
            for facet in driver
        ]
        return self._merged(arms, way)

    def _by_value(self, wanted: Matching, order: Order, after: Position | None, values: dict[str, Any]) -> str:
        """In order of a duration or score: few matches are sorted, many are walked in the order of the index."""
        column, way = order.by, "DESC" if order.is_descending else "ASC"
        groups: Sequence[tuple[int, ...]] = wanted.telling
        if groups and wanted.sizes[0] <= FEW:
            members = ", ".join(str(facet) for facet in groups[0])
            few = f"(SELECT DISTINCT number AS n FROM facets WHERE facet IN ({members})) f"
            source = f"{few} CROSS JOIN conversations d WHERE d.number = f.n"
            groups = groups[1:]
        else:
            source = f"conversations d{self._hinted(f'conversations_by_{column}')} WHERE d.scope = {wanted.scope}"
        # The index is in order of the value: bounds on numbers are no way in.
        bounds = f" AND {self._beside('d.number')} BETWEEN :low AND :high"
        rest = f"{bounds}{_checks(groups, wanted.durations)}"
        if wanted.words is not None:
            index, values["match"] = wanted.words
            rest += f" AND {self._with_words(index)}"
        starts = [f" AND d.{column} IS NOT NULL"]
        if after is not None:
            values.update(value=after.value, number=after.number)
            sign = "<" if order.is_descending else ">"
            # Two arms rather than one comparison of pairs, which would walk through all that have the same value.
            starts = [f" AND d.{column} = :value AND d.number {sign} :number", f" AND d.{column} {sign} :value"]
        arms = (f"SELECT d.number, d.{column} FROM {source}{start}{rest}" for start in starts)
        return f"{' UNION ALL '.join(arms)} ORDER BY 2 {way}, 1 {way} LIMIT :limit OFFSET :offset"

    async def _has_few_durations(self, c: Connection, wanted: Matching) -> bool:
        if wanted.durations is None or wanted.sizes[0] <= FEW:
            return False
        low, high = wanted.durations
        sql = (
            f"SELECT count(*) FROM (SELECT 1 FROM conversations WHERE scope = {wanted.scope}"
            f" AND duration BETWEEN {low} AND {high} LIMIT {FEW + 1}) found"
        )
        ((found,),) = await c.select(sql)
        return bool(found <= FEW)


def _checks(groups: Sequence[tuple[int, ...]], durations: tuple[int, int] | None, number: str = "d.number") -> str:
    found = ""
    for group in groups:
        members = ", ".join(str(facet) for facet in group)
        found += f" AND EXISTS (SELECT 1 FROM facets WHERE facet IN ({members}) AND number = {number})"
    if durations is not None:
        found += (
            f" AND EXISTS (SELECT 1 FROM conversations o WHERE o.number = {number}"
            f" AND o.duration BETWEEN {durations[0]} AND {durations[1]})"
        )
    return found
