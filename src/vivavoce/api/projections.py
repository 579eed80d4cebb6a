"""Pulling and pushing by the field's own command-line client, under /adk/v1."""

from __future__ import annotations

from vivavoce.api.adk import BRANCH, PROJECT, agent_of, branch_of
from vivavoce.api.conversations import author
from vivavoce.api.route import Answer, Call, Route
from vivavoce.service.projections import TEMPLATES
from vivavoce.wire import adk as wire
from vivavoce.wire.chat import encode
from vivavoce.wire.commands import batch
from vivavoce.wire.query import Query

_TEMPLATES = "/adk/v1/template-projects"


async def branch(call: Call) -> Answer:
    sequence, projection = await call.services.projections.of_branch(
        call.principal, await agent_of(call), branch_of(call), at=call.query["atSequence"]
    )
    return Answer(body=encode({"lastKnownSequence": str(sequence), "projection": projection}))


async def deployment(call: Call) -> Answer:
    name = call.request.path_params["deployment_id"]
    found = await call.services.projections.of_deployment(call.principal, await agent_of(call), name)
    return Answer(body=encode({"projection": found}))


async def templates(call: Call) -> Answer:
    return Answer(body=encode(wire.templates(TEMPLATES)))


async def template(call: Call) -> Answer:
    found = await call.services.projections.of_template(call.request.path_params["template_id"])
    return Answer(body=encode({"projection": found}))


async def push(call: Call) -> Answer:
    """The events that it made are not told: this client reads only that there was no error."""
    agent_id = await agent_of(call)  # before the body is worth any work
    pushed = await call.services.projections.push(
        call.principal, agent_id, branch_of(call), lambda: batch.read(call.raw), by=author(call)
    )
    return Answer(body=encode(wire.pushed(pushed)))


ROUTES = (
    Route(
        method="GET", path=f"{BRANCH}/projection", handler=branch,
        summary="A branch as one document, now or as it was after a step.", permission="read",
        query=(Query(name="atSequence", type="integer", minimum=0, description="The step; the last one by default."),),
        errors=(400, 401, 403, 404, 409),
    ),
    Route(
        method="GET", path=f"{PROJECT}/deployments/{{deployment_id}}/projection", handler=deployment,
        summary="A version as one document.", permission="read", errors=(401, 403, 404, 409),
    ),
    Route(
        method="GET", path=_TEMPLATES, handler=templates, summary="What an agent may begin with.", permission="read",
        query=(Query(name="owner", type="string", description="No effect: there is one owner."),), errors=(400, 401, 403),
    ),
    Route(
        method="GET", path=f"{_TEMPLATES}/{{template_id}}/projection", handler=template,
        summary="One of them as one document.", permission="read", errors=(401, 403, 404),
    ),
    Route(
        method="POST", path=f"{BRANCH}/command-batch", handler=push,
        summary="Change a branch by a batch of commands, all of it or nothing.", permission="write",
        takes_any_body=True, body_media_type=batch.MEDIA_TYPE, max_body=batch.MAX_BYTES,
        errors=(400, 401, 403, 404, 409, 413, 422),
    ),
)  # fmt: skip
