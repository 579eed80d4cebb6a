"""Test runs, as the field's command-line client starts and reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from vivavoce.domain.test_run import TestResult, TestRun
from vivavoce.wire.times import iso


class TestSelection(Struct, frozen=True, kw_only=True, rename="camel"):
    mode: Literal["testIds", "tags", "all"]
    test_ids: list[str] | None = None
    tags: list[str] | None = None


class TriggerTestRunBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """`testCaseIds` is how older clients name what `select` names."""

    branch_id: str = "main"
    select: TestSelection | None = None
    test_case_ids: list[str] | None = None
    name: str | None = None


def chosen(body: TriggerTestRunBody) -> tuple[list[str] | None, list[str] | None]:
    """(ids, tags); None is all."""
    if body.select is None:
        return body.test_case_ids, None
    if body.select.mode == "testIds":
        return body.select.test_ids or [], None
    return None, (body.select.tags or []) if body.select.mode == "tags" else None


def run(found: TestRun) -> dict[str, Any]:
    return {**_line(found), "testHistory": [result(found, each) for each in found.results]}


def triggered(found: TestRun) -> dict[str, Any]:
    """This one count the client reads in snake_case."""
    return {**_line(found), "test_case_count": len(found.results)}


def runs(found: Sequence[TestRun], total: int) -> dict[str, Any]:
    return {"testRuns": [_line(each) for each in found], "totalCount": total}


def history(found: Sequence[tuple[TestRun, TestResult]], total: int) -> dict[str, Any]:
    return {"testHistory": [result(*each) for each in found], "totalCount": total}


def _line(found: TestRun) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "branchId": found.branch,
        "status": found.status,
        "testCaseCount": len(found.results),
        "passedCount": found.count("passed"),
        "failedCount": found.count("failed"),
        "errorCount": found.count("errored", "timed_out"),
        "startedAt": iso(found.started_at),
        "startedBy": found.started_by,
        "finishedAt": iso(found.finished_at) if found.finished_at is not None else None,
    }


def result(found: TestRun, each: TestResult) -> dict[str, Any]:
    """What was not tried did not hold, for the reason given."""
    prompts = each.case.get("prompt_assertions") or []
    calls = each.case.get("function_call_assertions") or []
    is_unknown = each.status in ("errored", "timed_out")
    return {
        "testRunId": found.id,
        "testCaseId": each.case_id,
        "status": each.status,
        "error": each.reason,
        "testCaseSnapshot": each.case,
        "results": {
            "prompt_assertion_results": [
                {"prompt": prompt, "is_pass": False, "reason": each.reason} for prompt in prompts if is_unknown
            ],
            "function_call_failures": [
                {"name": call.get("name", ""), "is_pass": False, "failure_reason": each.reason, "error": ""}
                for call in calls
                if is_unknown
            ],
        },
        "rawConversation": {},
    }
