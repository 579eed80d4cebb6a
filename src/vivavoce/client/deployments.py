"""Versions of an agent: what serves which environment, publishing, promoting, going back."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import UNSET

from vivavoce.client.operation import Given, Group, X, operation
from vivavoce.wire.deployments import (
    ActiveDeploymentsResponse,
    DeploymentDiffResponse,
    DeploymentResponse,
    GetDeploymentsResponse,
    MutationDeploymentResponse,
    PromoteDeploymentBody,
    PublishDeploymentBody,
    RollbackDeploymentBody,
)

Environment: TypeAlias = Literal["sandbox", "pre-release", "live"]
_DEPLOYMENTS = "/v1/agents/{agentId}/deployments"


class Deployments(Group[X]):
    """Where one deployment is named, its id will do, the first digits of its version, or an environment: what serves that."""

    @operation("GET", _DEPLOYMENTS, GetDeploymentsResponse)
    def list(self, agent_id: str, environment: Environment, *, limit: int = 100) -> Given:
        """Newest first; the first serves the environment."""
        return Given((agent_id,), {"environment": environment, "limit": limit})

    @operation("GET", _DEPLOYMENTS + "/active", ActiveDeploymentsResponse)
    def active(self, agent_id: str) -> Given:
        return Given((agent_id,))

    @operation("GET", _DEPLOYMENTS + "/{deploymentId}", DeploymentResponse)
    def get(self, agent_id: str, deployment: str) -> Given:
        return Given((agent_id, deployment))

    @operation("GET", _DEPLOYMENTS + "/{deploymentId}/diff", DeploymentDiffResponse)
    def diff(self, agent_id: str, deployment: str, *, against: str | None = None) -> Given:
        """Without another one to compare with, against what served the environment before it."""
        return Given((agent_id, deployment), {"against": against})

    @operation("GET", _DEPLOYMENTS + "/{deploymentId}/files", bytes, accept="application/zip")
    def files(self, agent_id: str, deployment: str) -> Given:
        """The folder of the version, as a ZIP archive."""
        return Given((agent_id, deployment))

    @operation("POST", _DEPLOYMENTS + "/publish", MutationDeploymentResponse)
    def publish(self, agent_id: str, *, message: str = "", version: str | None = None) -> Given:
        """The draft becomes what sandbox serves; with `version` only if the draft is that one."""
        return Given((agent_id,), body=PublishDeploymentBody(deployment_message=message, version=version))

    @operation("POST", _DEPLOYMENTS + "/{deploymentId}/promote", MutationDeploymentResponse)
    def promote(
        self, agent_id: str, deployment: str, *, target: Literal["pre-release", "live"] | None = None, message: str = ""
    ) -> Given:
        """It serves the next environment as well, or the one that is named."""
        body = PromoteDeploymentBody(deployment_message=message, target_environment=UNSET if target is None else target)
        return Given((agent_id, deployment), body=body)

    @operation("POST", _DEPLOYMENTS + "/{deploymentId}/rollback", MutationDeploymentResponse)
    def roll_back(self, agent_id: str, deployment: str, *, message: str = "") -> Given:
        """An earlier one serves its environment again."""
        return Given((agent_id, deployment), body=RollbackDeploymentBody(deployment_message=message))
