"""Agents, their branches, and the parts that are changed on a branch, as the public API writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from vivavoce.domain.branch import MAIN, Branch, Step
from vivavoce.domain.merging import MISSING, Conflict, Resolution
from vivavoce.domain.parts import AgentSummary, AttributePart, TopicPart, VariantPart
from vivavoce.wire.times import iso

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]
Id: TypeAlias = Annotated[str, Meta(pattern="^[a-zA-Z0-9-]+$")]
Text: TypeAlias = Annotated[str, Meta(min_length=1)]


# Agents.


class ResponseSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    greeting: Text
    language_code: Text = "en-GB"


class VoiceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    voice_id: Text


class LlmSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    model_id: str | UnsetType = UNSET


class ExperimentalFeatures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    id: str
    features: dict[str, Any]
    created_at: str
    created_by: str
    updated_at: str
    updated_by: str
    active: bool


class ExperimentalConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    configs: list[ExperimentalFeatures]


class CreateAgentBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """`voiceSettings`, `llmSettings` and `experimentalConfig` are taken, and mean nothing here: the folder says that."""

    name: Name
    response_settings: ResponseSettings
    agent_id: Id | UnsetType = UNSET
    voice_settings: VoiceSettings | UnsetType = UNSET
    llm_settings: LlmSettings | UnsetType = UNSET
    experimental_config: ExperimentalConfig | UnsetType = UNSET


class DuplicateAgentBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    new_agent_name: Name
    new_agent_id: Id | UnsetType = UNSET


class AgentResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    account_id: str
    agent_id: str
    agent_name: str
    created_at: str
    updated_at: str
    branch_count: int


def given(value: Any) -> Any:
    """None for what was left out."""
    return None if value is UNSET else value


def agent(found: AgentSummary) -> AgentResponse:
    return AgentResponse(
        account_id=found.account_id,
        agent_id=found.agent_id,
        agent_name=found.name,
        created_at=iso(found.created_at) or "",
        updated_at=iso(found.updated_at) or "",
        branch_count=found.branches,
    )


# Branches.


class CreateBranchBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    branch_name: Name
    source_branch_id: str | None = None  # ours here, as is the next; the command-line client's on its own route
    expected_main_last_known_sequence: int | None = None


class CreateBranchResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    branch_id: str
    sequence_id: str


class BranchItem(Struct, frozen=True, kw_only=True, rename="camel"):
    branch_id: str
    name: str
    parent_branch_id: str | None
    parent_sequence: int
    last_known_sequence: str
    is_diverged: bool
    created_by: str
    created_at: str
    updated_at: str
    active: bool
    tag: str | None
    archived_at: str | None


class GetBranchesResponse(Struct, frozen=True, kw_only=True):
    branches: list[BranchItem]


class DeleteBranchResponse(Struct, frozen=True, kw_only=True):
    sequence: str
    message: str


class ConflictResolution(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: list[str]
    strategy: Literal["ours", "theirs", "base"]
    value: Any = UNSET


class MergeBranchBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    deployment_message: str = ""
    conflict_resolutions: list[ConflictResolution] = []
    expected_branch_last_known_sequence: int | None = None
    expected_branch_sequence: int | None = None  # as the command-line client calls it when it syncs


class MergeBranchResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    sequence: str
    message: str
    test_run_ids: list[str]


class ConflictItem(Struct, frozen=True, kw_only=True, rename="camel"):
    """A side without a value has none here."""

    path: list[str]
    type: Literal["add", "modify", "delete"]
    base_value: Any = UNSET
    ours_value: Any = UNSET
    theirs_value: Any = UNSET


class MergeBranchConflictResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    has_conflicts: bool
    conflicts: list[ConflictItem]
    errors: list[str]
    outcome: str = "conflicts"


class StepItem(Struct, frozen=True, kw_only=True, rename="camel"):
    sequence: int
    kind: str
    at: str
    by: str
    message: str
    branch_name: str


class BranchHistoryResponse(Struct, frozen=True, kw_only=True):
    steps: list[StepItem]


def branches(found: Sequence[Branch]) -> GetBranchesResponse:
    """`isDiverged`: its parent has gone on since they were last the same."""
    sequences = {branch.id: branch.sequence for branch in found}
    return GetBranchesResponse(
        branches=[
            BranchItem(
                branch_id=branch.id,
                name=branch.name,
                parent_branch_id=branch.parent,
                parent_sequence=branch.parent_sequence,
                last_known_sequence=str(branch.sequence),
                is_diverged=branch.parent is not None
                and sequences.get(branch.parent, branch.parent_sequence) != branch.parent_sequence,
                created_by=branch.created_by,
                created_at=iso(branch.created_at) or "",
                updated_at=iso(branch.updated_at) or "",
                active=branch.archived_at is None,
                tag=branch.tag,
                archived_at=iso(branch.archived_at),
            )
            for branch in found
        ]
    )


def created(branch: Branch) -> CreateBranchResponse:
    return CreateBranchResponse(branch_id=branch.id, sequence_id=str(branch.sequence))


def resolutions(body: MergeBranchBody) -> list[Resolution]:
    return [
        Resolution(
            path=tuple(each.path),
            strategy=each.strategy,
            value=MISSING if each.value is UNSET or each.value is None else each.value,
        )
        for each in body.conflict_resolutions
    ]


def conflicts(found: Sequence[Conflict]) -> MergeBranchConflictResponse:
    return MergeBranchConflictResponse(
        has_conflicts=True,
        conflicts=[
            ConflictItem(
                path=list(conflict.path),
                type=conflict.kind,
                base_value=_shown(conflict.base),
                ours_value=_shown(conflict.ours),
                theirs_value=_shown(conflict.theirs),
            )
            for conflict in found
        ],
        errors=[],
    )


def _shown(value: Any) -> Any:
    if value is MISSING:
        return UNSET
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def history(steps: Sequence[Step]) -> BranchHistoryResponse:
    return BranchHistoryResponse(
        steps=[
            StepItem(
                sequence=step.sequence,
                kind=step.kind,
                at=iso(step.at) or "",
                by=step.by,
                message=step.message,
                branch_name=step.other or (MAIN if step.branch == MAIN else step.branch),
            )
            for step in steps
        ]
    )


# Behaviour.


class UpdateAgentRulesBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    behavior: Text


class AgentRulesResponse(Struct, frozen=True, kw_only=True):
    behavior: str


# Topics.


class ExampleQueries(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    queries: Annotated[list[str], Meta(max_length=100)]


class CreateTopicBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    name: Text
    content: Text
    actions: str = ""
    example_queries: ExampleQueries | UnsetType = UNSET
    is_active: bool = True


class UpdateTopicBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    name: Text | UnsetType = UNSET
    content: str | UnsetType = UNSET
    actions: str | UnsetType = UNSET
    example_queries: ExampleQueries | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class TopicQueries(Struct, frozen=True, kw_only=True):
    queries: list[str]


class TopicResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    name: str
    content: str
    actions: str
    example_queries: TopicQueries
    is_active: bool


def topic(found: TopicPart) -> TopicResponse:
    return TopicResponse(
        id=found.id,
        name=found.name,
        content=found.content,
        actions=found.actions,
        example_queries=TopicQueries(queries=list(found.example_queries)),
        is_active=found.enabled,
    )


def topic_changes(body: UpdateTopicBody) -> dict[str, Any]:
    """Fields of a topic's file with their new values."""
    queries = body.example_queries
    given = {
        "name": body.name,
        "content": body.content,
        "actions": body.actions,
        "example_queries": UNSET if isinstance(queries, UnsetType) else queries.queries,
        "enabled": body.is_active,
    }
    return {name: value for name, value in given.items() if value is not UNSET}


# Variants and attributes.


class AttributeValues(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    values: dict[str, str] = {}


class CreateVariantBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    name: Text
    attribute_values: AttributeValues = AttributeValues()
    is_default: bool = False


class UpdateVariantBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    name: Text | UnsetType = UNSET
    attribute_values: AttributeValues | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET


class GivenValues(Struct, frozen=True, kw_only=True):
    values: dict[str, str]


class VariantResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    name: str
    is_default: bool
    attribute_values: GivenValues


class GetVariantsResponse(Struct, frozen=True, kw_only=True):
    variants: list[VariantResponse]


class RemovedResponse(Struct, frozen=True, kw_only=True):
    id: str


class AttributeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Text


class AttributeResponse(Struct, frozen=True, kw_only=True):
    id: str
    name: str


class GetAttributesResponse(Struct, frozen=True, kw_only=True):
    attributes: list[AttributeResponse]


def variant(found: VariantPart) -> VariantResponse:
    return VariantResponse(
        id=found.id,
        name=found.name,
        is_default=found.is_default,
        attribute_values=GivenValues(values=found.values),
    )


def attribute(found: AttributePart) -> AttributeResponse:
    return AttributeResponse(id=found.id, name=found.name)
