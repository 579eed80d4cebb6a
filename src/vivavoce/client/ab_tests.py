"""A/B tests: a share of new conversations begins on another version, and the two are compared."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET

from vivavoce.client.operation import Given, Group, X, operation
from vivavoce.wire.experiments import (
    AbTest,
    AbTestResults,
    CreateAbTestBody,
    EndAbTestBody,
    UpdateAbTestBody,
)
from vivavoce.wire.experiments import (
    AbTests as AbTestList,
)

_TESTS = "/adk/v1/accounts/{account_id}/projects/{project_id}/ab-tests"
_TEST = _TESTS + "/{ab_test_id}"


class AbTests(Group[X]):
    """A deployment is named as in `client.deployments`. Shares are percent of the environment's new conversations."""

    @operation("GET", _TESTS, AbTestList)
    def list(self, account_id: str, agent_id: str, *, limit: int = 100, offset: int = 0) -> Given:
        """Newest first."""
        return Given((account_id, agent_id), {"limit": limit, "offset": offset})

    @operation("POST", _TESTS, AbTest)
    def create(
        self,
        account_id: str,
        agent_id: str,
        name: str,
        deployment: str,
        *,
        share: float,
        environment: Literal["live", "pre-release"] = "live",
    ) -> Given:
        body = CreateAbTestBody(
            name=name, variant_deployment_id=deployment, traffic_percentage=share, client_env=environment
        )
        return Given((account_id, agent_id), body=body)

    @operation("GET", _TEST, AbTest)
    def get(self, account_id: str, agent_id: str, test_id: str) -> Given:
        return Given((account_id, agent_id, test_id))

    @operation("PATCH", _TEST, AbTest)
    def change(
        self, account_id: str, agent_id: str, test_id: str, *, name: str | None = None, share: float | None = None
    ) -> Given:
        body = UpdateAbTestBody(
            name=UNSET if name is None else name, traffic_percentage=UNSET if share is None else share
        )
        return Given((account_id, agent_id, test_id), body=body)

    @operation("DELETE", _TEST, AbTest)
    def end(self, account_id: str, agent_id: str, test_id: str, *, chosen: str | None = None) -> Given:
        """The chosen deployment serves from now on; without one, what serves anyway goes on."""
        return Given((account_id, agent_id, test_id), body=EndAbTestBody(chosen_deployment_id=chosen))

    @operation("GET", _TEST + "/results", AbTestResults)
    def results(self, account_id: str, agent_id: str, test_id: str, *, confidence: int = 95) -> Given:
        """What both come to; it holds at all looks together with that confidence, in percent."""
        return Given((account_id, agent_id, test_id), {"confidence": confidence})
