"""Test runs over HTTP."""

from __future__ import annotations

from vivavoce.api.conversations import author
from vivavoce.api.route import Answer, Call, Route
from vivavoce.wire import test_runs as wire
from vivavoce.wire.chat import encode
from vivavoce.wire.query import Query

_TESTING = "/v1/agents/{agentId}/testing"


async def trigger(call: Call) -> Answer:
    body: wire.TriggerTestRunBody = call.body
    ids, tags = wire.chosen(body)
    run = await call.services.test_runs.trigger(
        call.principal, _agent(call), branch=body.branch_id, ids=ids, tags=tags, name=body.name or "", by=author(call)
    )
    return Answer(body=encode(wire.triggered(run)))


async def listed(call: Call) -> Answer:
    runs = await call.services.test_runs.listed(call.principal, _agent(call), branch=call.query["branchId"])
    return Answer(body=encode(wire.runs(runs[_part(call)], len(runs))))


async def show(call: Call) -> Answer:
    id = call.request.path_params["testRunId"]
    return Answer(body=encode(wire.run(await call.services.test_runs.get(call.principal, _agent(call), id))))


async def history(call: Call) -> Answer:
    runs = await call.services.test_runs.listed(call.principal, _agent(call), branch=call.query["branchId"])
    case = call.query["testCaseId"]
    found = [(run, each) for run in runs for each in run.results if case in (None, each.case_id)]
    return Answer(body=encode(wire.history(found[_part(call)], len(found))))


def _agent(call: Call) -> str:
    return str(call.request.path_params["agentId"])


def _part(call: Call) -> slice:
    return slice(call.query["offset"], call.query["offset"] + call.query["limit"])


_PAGE = (
    Query(name="limit", type="integer", default=50, minimum=1, maximum=200, description="At most so many."),
    Query(name="offset", type="integer", default=0, minimum=0, description="So many are left out first."),
    Query(name="branchId", type="string", description="Of this branch."),
)
ROUTES = (
    Route(
        method="POST", path=f"{_TESTING}/test-runs/trigger", handler=trigger,
        summary="Run test cases. They are not run here yet: every one comes out as errored, and says so.",
        permission="write", request=wire.TriggerTestRunBody, errors=(400, 401, 403, 404, 413),
    ),
    Route(
        method="GET", path=f"{_TESTING}/test-runs", handler=listed, summary="Test runs, newest first.",
        permission="read", query=(*_PAGE, Query(name="testSetId", type="string", description="Not kept: no effect.")),
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET", path=f"{_TESTING}/test-runs/{{testRunId}}", handler=show,
        summary="One test run with what came of each case.", permission="read", errors=(401, 403, 404),
    ),
    Route(
        method="GET", path=f"{_TESTING}/test-history", handler=history,
        summary="What came of cases in all runs, newest first.", permission="read",
        query=(*_PAGE, Query(name="testCaseId", type="string", description="Of this case.")),
        errors=(400, 401, 403, 404),
    ),
)  # fmt: skip
