"""Versions over HTTP: publishing, promoting, going back, and what differs."""

from __future__ import annotations

import asyncio
import io
import zipfile

from msgspec import UNSET

from vivavoce.api.conversations import author
from vivavoce.api.route import Answer, Call, Route
from vivavoce.domain.deployment import Tree
from vivavoce.service.versions import MOST_LISTED, STAGES, InvalidEnvironment
from vivavoce.wire import deployments as wire
from vivavoce.wire.chat import encode
from vivavoce.wire.query import Query

VERSION_HEADER = "X-Vivavoce-Version"
_AGENT = "/v1/agents/{agentId}/deployments"


async def listed(call: Call) -> Answer:
    found = await call.services.versions.listed(
        call.principal, _agent(call), call.query["environment"], limit=call.query["limit"]
    )
    return Answer(body=encode(wire.listed(found)))


async def active(call: Call) -> Answer:
    return Answer(body=encode(wire.active(await call.services.versions.active(call.principal, _agent(call)))))


async def show(call: Call) -> Answer:
    return Answer(body=encode(wire.deployment(await call.services.versions.get(call.principal, *_place(call)))))


async def diff(call: Call) -> Answer:
    found = await call.services.versions.diff(call.principal, *_place(call), call.query["against"])
    return Answer(body=encode(wire.diff(*found)))


async def files(call: Call) -> Answer:
    found, tree = await call.services.versions.files(call.principal, *_place(call))
    packed = await asyncio.to_thread(_packed, tree)
    return Answer(body=packed, media_type="application/zip", headers={VERSION_HEADER: found.version})


def _packed(tree: Tree) -> bytes:
    """The same bytes for the same tree."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(tree.files):
            archive.writestr(zipfile.ZipInfo(path), tree.files[path], zipfile.ZIP_DEFLATED)
    return out.getvalue()


async def publish(call: Call) -> Answer:
    body: wire.PublishDeploymentBody = call.body
    made = await call.services.versions.publish(
        call.principal,
        _agent(call),
        by=author(call),
        message=body.deployment_message,
        environment=None if body.environment is UNSET else body.environment,
        version=body.version,
    )
    return Answer(status=201, body=encode(wire.mutation(made)))


async def promote(call: Call) -> Answer:
    body: wire.PromoteDeploymentBody = call.body
    made = await call.services.versions.promote(
        call.principal,
        *_place(call),
        target=None if body.target_environment is UNSET else body.target_environment,
        by=author(call),
        message=body.deployment_message,
    )
    return Answer(body=encode(wire.mutation(made)))


async def roll_back(call: Call) -> Answer:
    body: wire.RollbackDeploymentBody = call.body
    made = await call.services.versions.roll_back(
        call.principal, *_place(call), by=author(call), message=body.deployment_message
    )
    return Answer(body=encode(wire.mutation(made)))


def _agent(call: Call) -> str:
    name: str = call.request.path_params["agentId"]
    return name


def _place(call: Call) -> tuple[str, str]:
    return _agent(call), call.request.path_params["deploymentId"]


ROUTES = (
    Route(
        method="GET",
        path=_AGENT,
        handler=listed,
        summary="The deployments of an environment, newest first; the first serves it.",
        permission="read",
        query=(
            Query(name="environment", type="string", is_required=True, choices=STAGES),
            Query(name="limit", type="integer", default=100, minimum=1, maximum=MOST_LISTED),
        ),
        query_error=InvalidEnvironment,
        response=wire.GetDeploymentsResponse,
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET",
        path=f"{_AGENT}/active",
        handler=active,
        summary="What serves each environment.",
        permission="read",
        response=wire.ActiveDeploymentsResponse,
        errors=(401, 403, 404),
    ),
    Route(
        method="POST",
        path=f"{_AGENT}/publish",
        handler=publish,
        summary="The draft becomes what sandbox serves.",
        permission="admin",
        request=wire.PublishDeploymentBody,
        response=wire.MutationDeploymentResponse,
        status=201,
        errors=(400, 401, 403, 404, 409, 413),
    ),
    Route(
        method="GET",
        path=f"{_AGENT}/{{deploymentId}}",
        handler=show,
        summary="One deployment: by id, by the first digits of its version, or by an environment.",
        permission="read",
        response=wire.DeploymentResponse,
        errors=(401, 403, 404),
    ),
    Route(
        method="GET",
        path=f"{_AGENT}/{{deploymentId}}/diff",
        handler=diff,
        summary="What a version has changed since another; without one, since what served before it.",
        permission="read",
        query=(Query(name="against", type="string", may_be_empty=False, description="Another deployment, likewise."),),
        response=wire.DeploymentDiffResponse,
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET",
        path=f"{_AGENT}/{{deploymentId}}/files",
        handler=files,
        summary="The folder of a version, as a ZIP archive.",
        permission="read",
        media_type="application/zip",
        errors=(401, 403, 404),
    ),
    Route(
        method="POST",
        path=f"{_AGENT}/{{deploymentId}}/promote",
        handler=promote,
        summary="A version serves the next environment as well, or the one that is named.",
        permission="admin",
        request=wire.PromoteDeploymentBody,
        response=wire.MutationDeploymentResponse,
        errors=(400, 401, 403, 404, 413),
    ),
    Route(
        method="POST",
        path=f"{_AGENT}/{{deploymentId}}/rollback",
        handler=roll_back,
        summary="An earlier deployment serves its environment again.",
        permission="admin",
        request=wire.RollbackDeploymentBody,
        response=wire.MutationDeploymentResponse,
        errors=(400, 401, 403, 404, 409, 413),
    ),
)
