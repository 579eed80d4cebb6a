"""A/B tests, as the field's command-line client reads them: snake_case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from vivavoce.domain.experiment import Experiment
from vivavoce.domain.sequential import Comparison
from vivavoce.wire.times import iso

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=100)]


class CreateAbTestBody(Struct, frozen=True, kw_only=True):
    name: Name
    variant_deployment_id: str
    traffic_percentage: Share
    client_env: Literal["live", "pre-release"] = "live"


class UpdateAbTestBody(Struct, frozen=True, kw_only=True):
    name: Name | UnsetType = UNSET
    traffic_percentage: Share | UnsetType = UNSET


class EndAbTestBody(Struct, frozen=True, kw_only=True):
    chosen_deployment_id: str | None = None


class AbTest(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    client_env: str
    control_deployment_id: str
    variant_deployment_id: str
    traffic_percentage: int | float
    status: Literal["active", "ended"]
    created_by: str
    created_at: str
    ended_at: str | None
    chosen_deployment_id: str | None


class AbTests(Struct, frozen=True, kw_only=True):
    ab_tests: list[AbTest]


class AbTestMetric(Struct, frozen=True, kw_only=True):
    """`count` values with their mean, and where it lies at every look together."""

    count: int
    mean: float
    low: float | None = None
    high: float | None = None


class AbTestGroup(Struct, frozen=True, kw_only=True):
    deployment_id: str
    conversations: int
    is_whole: bool
    metrics: dict[str, AbTestMetric]


class AbTestComparison(Struct, frozen=True, kw_only=True):
    """The variant less the control."""

    difference: float
    low: float
    high: float
    p_value: float
    is_decided: bool


class AbTestResults(Struct, frozen=True, kw_only=True):
    ab_test: AbTest
    confidence: float
    control: AbTestGroup
    variant: AbTestGroup
    comparisons: dict[str, AbTestComparison]
    other_conversations: int


def ab_test(found: Experiment) -> AbTest:
    return AbTest(
        id=found.id,
        name=found.name,
        client_env=found.environment,
        control_deployment_id=found.control,
        variant_deployment_id=found.variant,
        traffic_percentage=int(found.share) if float(found.share).is_integer() else found.share,
        status="active" if found.ended_at is None else "ended",
        created_by=found.created_by,
        created_at=found.created_at.isoformat(),
        ended_at=iso(found.ended_at),
        chosen_deployment_id=found.chosen,
    )


def ab_tests(found: Sequence[Experiment]) -> AbTests:
    return AbTests(ab_tests=[ab_test(each) for each in found])


def comparison(found: Comparison) -> AbTestComparison:
    return AbTestComparison(
        difference=found.difference,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        is_decided=not found.low <= 0 <= found.high,
    )
