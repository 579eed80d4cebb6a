"""A/B tests over HTTP, under /adk/v1."""

from __future__ import annotations

from msgspec import UNSET

from vivavoce.api.adk import PROJECT, agent_of
from vivavoce.api.conversations import author
from vivavoce.api.route import Answer, Call, Route
from vivavoce.service.experiments import Group
from vivavoce.wire import experiments as wire
from vivavoce.wire.chat import encode
from vivavoce.wire.query import Query

_TESTS = f"{PROJECT}/ab-tests"
_TEST = f"{_TESTS}/{{ab_test_id}}"


async def listed(call: Call) -> Answer:
    found = await call.services.experiments.listed(call.principal, await agent_of(call))
    first = call.query["offset"]
    return Answer(body=encode(wire.ab_tests(found[first : first + call.query["limit"]])))


async def active(call: Call) -> Answer:
    """The newest that is running; an empty object where none is."""
    found = await call.services.experiments.active(call.principal, await agent_of(call))
    return Answer(body=encode(wire.ab_test(found[0])) if found else b"{}")


async def show(call: Call) -> Answer:
    return Answer(body=encode(wire.ab_test(await call.services.experiments.get(call.principal, *await _place(call)))))


async def create(call: Call) -> Answer:
    body: wire.CreateAbTestBody = call.body
    made = await call.services.experiments.create(
        call.principal,
        await agent_of(call),
        name=body.name,
        variant=body.variant_deployment_id,
        share=body.traffic_percentage,
        environment=body.client_env,
        by=author(call),
    )
    return Answer(body=encode(wire.ab_test(made)))


async def change(call: Call) -> Answer:
    body: wire.UpdateAbTestBody = call.body
    changed = await call.services.experiments.change(
        call.principal,
        *await _place(call),
        name=None if body.name is UNSET else body.name,
        share=None if body.traffic_percentage is UNSET else body.traffic_percentage,
    )
    return Answer(body=encode(wire.ab_test(changed)))


async def end(call: Call) -> Answer:
    body: wire.EndAbTestBody | None = call.body
    ended = await call.services.experiments.end(
        call.principal,
        *await _place(call),
        chosen=body.chosen_deployment_id if body is not None else None,
        by=author(call),
    )
    return Answer(body=encode(wire.ab_test(ended)))


async def results(call: Call) -> Answer:
    found = await call.services.experiments.result(
        call.principal, *await _place(call), confidence=call.query["confidence"] / 100
    )
    return Answer(
        body=encode(
            wire.AbTestResults(
                ab_test=wire.ab_test(found.experiment),
                confidence=found.confidence,
                control=_group(found.control),
                variant=_group(found.variant),
                comparisons={name: wire.comparison(each) for name, each in found.comparisons.items()},
                other_conversations=found.others,
            )
        )
    )


def _group(group: Group) -> wire.AbTestGroup:
    metrics = {}
    for name, mean in group.means.items():
        low, high = group.intervals.get(name, (None, None))
        metrics[name] = wire.AbTestMetric(count=group.counts[name], mean=mean, low=low, high=high)
    return wire.AbTestGroup(
        deployment_id=group.deployment,
        conversations=group.conversations,
        is_whole=group.is_whole,
        metrics=metrics,
    )


async def _place(call: Call) -> tuple[str, str]:
    return await agent_of(call), call.request.path_params["ab_test_id"]


ROUTES = (
    Route(
        method="GET", path=_TESTS, handler=listed, summary="A/B tests, newest first.", permission="read",
        query=(
            Query(name="limit", type="integer", default=100, minimum=1, maximum=1000, description="At most so many."),
            Query(name="offset", type="integer", default=0, minimum=0, description="So many are left out first."),
        ),
        response=wire.AbTests, errors=(400, 401, 403, 404),
    ),
    Route(
        method="POST", path=_TESTS, handler=create,
        summary="From now on a share of new conversations begins on another version.", permission="admin",
        request=wire.CreateAbTestBody, response=wire.AbTest, errors=(400, 401, 403, 404, 409, 413),
    ),
    Route(
        method="GET", path=f"{_TESTS}/active", handler=active,
        summary="The newest A/B test that is running, or an empty object.", permission="read", errors=(401, 403, 404),
    ),
    Route(
        method="GET", path=_TEST, handler=show, summary="One A/B test.", permission="read", response=wire.AbTest,
        errors=(401, 403, 404),
    ),
    Route(
        method="PATCH", path=_TEST, handler=change, summary="Another name, or another share.", permission="admin",
        request=wire.UpdateAbTestBody, response=wire.AbTest, errors=(400, 401, 403, 404, 409, 413),
    ),
    Route(
        method="DELETE", path=_TEST, handler=end,
        summary="End it; what was chosen serves the environment from now on.", permission="admin",
        request=wire.EndAbTestBody, response=wire.AbTest, errors=(400, 401, 403, 404, 409, 413),
    ),
    Route(
        method="GET", path=f"{_TEST}/results", handler=results,
        summary="What the two versions come to, true at every look.", permission="read",
        query=(
            Query(
                name="confidence", type="integer", default=95, minimum=50, maximum=99,
                description="In percent, of all looks together.",
            ),
        ),
        response=wire.AbTestResults, errors=(400, 401, 403, 404),
    ),
)  # fmt: skip
