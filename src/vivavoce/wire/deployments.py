"""Deployments: the public spelling, and that of the field's command-line client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from vivavoce.domain.deployment import Deployment
from vivavoce.domain.difference import FileDifference
from vivavoce.wire.times import iso, rfc1123


class PublishDeploymentBody(Struct, frozen=True, kw_only=True, rename="camel"):
    deployment_message: str = ""
    environment: str | UnsetType = UNSET
    version: str | None = None  # ours: publish only if the draft is this one


class PromoteDeploymentBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    deployment_message: str = ""
    target_environment: Literal["pre-release", "live"] | UnsetType = UNSET


class RollbackDeploymentBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    deployment_message: str = ""


class DeploymentResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    account_id: str
    agent_id: str
    environment: str
    artifact_version: str
    version: str
    created_by: str
    created_at: str
    metadata: dict[str, Any]


class GetDeploymentsResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    deployments: list[DeploymentResponse]


class ActiveDeploymentsResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """An environment that nothing serves is not in it."""

    active_deployments: dict[str, DeploymentResponse]


class MutationDeploymentResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    deployment: DeploymentResponse
    test_run_ids: list[str]


class FileDifferenceItem(Struct, frozen=True, kw_only=True, rename="camel"):
    path: str
    change: str
    lines: tuple[str, ...] | None


class DeploymentDiffResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    deployment: DeploymentResponse
    against: DeploymentResponse | None
    files: list[FileDifferenceItem]


def deployment(found: Deployment) -> DeploymentResponse:
    return DeploymentResponse(
        id=found.id,
        account_id=found.account_id,
        agent_id=found.agent_id,
        environment=found.environment,
        artifact_version=found.tree,
        version=found.version,
        created_by=found.created_by,
        created_at=iso(found.created_at) or "",
        metadata={**_metadata(found), "source_deployment_id": found.source, "git_commit": found.git_commit},
    )


def mutation(found: Deployment) -> MutationDeploymentResponse:
    return MutationDeploymentResponse(deployment=deployment(found), test_run_ids=[])


def listed(found: Sequence[Deployment]) -> GetDeploymentsResponse:
    return GetDeploymentsResponse(deployments=[deployment(each) for each in found])


def active(found: Mapping[Any, Deployment | None]) -> ActiveDeploymentsResponse:
    return ActiveDeploymentsResponse(
        active_deployments={name: deployment(each) for name, each in found.items() if each is not None}
    )


def diff(after: Deployment, before: Deployment | None, files: Sequence[FileDifference]) -> DeploymentDiffResponse:
    return DeploymentDiffResponse(
        deployment=deployment(after),
        against=deployment(before) if before is not None else None,
        files=[FileDifferenceItem(path=file.path, change=file.change, lines=file.lines) for file in files],
    )


def adk_listed(found: Sequence[Deployment]) -> dict[str, Any]:
    return {
        "deployments": [
            {
                "id": each.id,
                "genai_account_id": each.account_id,
                "genai_project_id": each.agent_id,
                "client_env": each.environment,
                "version_hash": each.version,
                "artifact_version": each.tree,
                "function_deployment_version": each.tree,
                "created_at": rfc1123(each.created_at),
                "created_by": each.created_by,
                "deleted": False,
                "deployment_metadata": _metadata(each),
            }
            for each in found
        ]
    }


def adk_active(found: Mapping[Any, Deployment | None]) -> dict[str, Any]:
    return {
        name: {"deployment_id": each.id if each else "", "version": each.version if each else ""}
        for name, each in found.items()
    }


def _metadata(found: Deployment) -> dict[str, Any]:
    return {"deployment_message": found.message, "deployment_type": found.kind}
