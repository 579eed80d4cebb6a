"""A run of an agent's test cases, and what came of each."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct

Status: TypeAlias = Literal["pending", "running", "passed", "failed", "errored", "timed_out"]


class TestResult(Struct, frozen=True, kw_only=True):
    """`case` is the case as it was then, in the words of its file. `reason` says why it was not run to its end."""

    case_id: str
    case: dict[str, Any]
    status: Status
    reason: str = ""


class TestRun(Struct, frozen=True, kw_only=True):
    id: str
    branch: str
    sequence: int  # the branch's step that was tried
    name: str
    status: Literal["running", "completed", "errored"]
    started_at: datetime
    started_by: str
    finished_at: datetime | None = None
    results: tuple[TestResult, ...] = ()

    def count(self, *statuses: Status) -> int:
        return sum(result.status in statuses for result in self.results)
