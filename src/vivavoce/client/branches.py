"""Branches of an agent, and the parts that are changed on them."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from types import NoneType

from msgspec import UNSET

from vivavoce.client.operation import Given, Group, X, operation
from vivavoce.wire.agents import (
    AgentRulesResponse,
    AttributeBody,
    AttributeResponse,
    AttributeValues,
    BranchHistoryResponse,
    ConflictResolution,
    CreateBranchBody,
    CreateBranchResponse,
    CreateTopicBody,
    CreateVariantBody,
    DeleteBranchResponse,
    ExampleQueries,
    GetAttributesResponse,
    GetBranchesResponse,
    GetVariantsResponse,
    MergeBranchBody,
    MergeBranchResponse,
    RemovedResponse,
    TopicResponse,
    UpdateAgentRulesBody,
    UpdateTopicBody,
    UpdateVariantBody,
    VariantResponse,
)

_BRANCHES = "/v1/agents/{agentId}/branches"
_BRANCH = _BRANCHES + "/{branchId}"
_TOPICS = _BRANCH + "/knowledge-base/topics"


class Branches(Group[X]):
    """The first arguments are the agent's id and the branch's; `main` is the folder as it is served, and only merged into."""

    @operation("GET", _BRANCHES, GetBranchesResponse)
    def list(self, agent_id: str) -> Given:
        return Given((agent_id,))

    @operation("POST", _BRANCHES, CreateBranchResponse)
    def create(self, agent_id: str, name: str, *, source: str | None = None) -> Given:
        """Of main, or of the branch that is named as its source."""
        return Given((agent_id,), body=CreateBranchBody(branch_name=name, source_branch_id=source))

    @operation("DELETE", _BRANCH, DeleteBranchResponse)
    def remove(self, agent_id: str, branch: str) -> Given:
        return Given((agent_id, branch))

    @operation("POST", _BRANCH + "/merge", MergeBranchResponse)
    def merge(
        self, agent_id: str, branch: str, *, message: str = "", resolutions: Sequence[ConflictResolution] = ()
    ) -> Given:
        """Into its parent; what comes to main is deployed to sandbox. Conflicts are an ApiError with status 400."""
        body = MergeBranchBody(deployment_message=message, conflict_resolutions=[*resolutions])
        return Given((agent_id, branch), body=body)

    @operation("GET", _BRANCH + "/history", BranchHistoryResponse)
    def history(self, agent_id: str, branch: str) -> Given:
        return Given((agent_id, branch))

    @operation("GET", _BRANCH + "/behavior", AgentRulesResponse)
    def behaviour(self, agent_id: str, branch: str) -> Given:
        return Given((agent_id, branch))

    @operation("PATCH", _BRANCH + "/behavior", AgentRulesResponse)
    def put_behaviour(self, agent_id: str, branch: str, text: str) -> Given:
        return Given((agent_id, branch), body=UpdateAgentRulesBody(behavior=text))

    @operation("GET", _TOPICS, builtins.list[TopicResponse])
    def topics(self, agent_id: str, branch: str) -> Given:
        return Given((agent_id, branch))

    @operation("POST", _TOPICS, TopicResponse)
    def create_topic(
        self,
        agent_id: str,
        branch: str,
        name: str,
        content: str,
        *,
        actions: str = "",
        example_queries: Sequence[str] = (),
        is_active: bool = True,
    ) -> Given:
        queries = ExampleQueries(queries=[*example_queries])
        body = CreateTopicBody(
            name=name, content=content, actions=actions, example_queries=queries, is_active=is_active
        )
        return Given((agent_id, branch), body=body)

    @operation("GET", _TOPICS + "/{topicId}", TopicResponse)
    def topic(self, agent_id: str, branch: str, topic: str) -> Given:
        return Given((agent_id, branch, topic))

    @operation("PATCH", _TOPICS + "/{topicId}", NoneType)
    def change_topic(self, agent_id: str, branch: str, topic: str, changes: UpdateTopicBody) -> Given:
        """What is not given stays."""
        return Given((agent_id, branch, topic), body=changes)

    @operation("DELETE", _TOPICS + "/{topicId}", NoneType)
    def remove_topic(self, agent_id: str, branch: str, topic: str) -> Given:
        return Given((agent_id, branch, topic))

    @operation("GET", _BRANCH + "/variants", GetVariantsResponse)
    def variants(self, agent_id: str, branch: str) -> Given:
        return Given((agent_id, branch))

    @operation("POST", _BRANCH + "/variants", VariantResponse)
    def create_variant(
        self,
        agent_id: str,
        branch: str,
        name: str,
        *,
        values: Mapping[str, str] | None = None,
        is_default: bool = False,
    ) -> Given:
        """`values` by the id or the name of the attribute."""
        body = CreateVariantBody(
            name=name, attribute_values=AttributeValues(values=dict(values or {})), is_default=is_default
        )
        return Given((agent_id, branch), body=body)

    @operation("PATCH", _BRANCH + "/variants/{variantId}", VariantResponse)
    def change_variant(
        self,
        agent_id: str,
        branch: str,
        variant: str,
        *,
        name: str | None = None,
        values: Mapping[str, str] | None = None,
        is_default: bool | None = None,
    ) -> Given:
        body = UpdateVariantBody(
            name=UNSET if name is None else name,
            attribute_values=UNSET if values is None else AttributeValues(values=dict(values)),
            is_default=UNSET if is_default is None else is_default,
        )
        return Given((agent_id, branch, variant), body=body)

    @operation("DELETE", _BRANCH + "/variants/{variantId}", RemovedResponse)
    def remove_variant(self, agent_id: str, branch: str, variant: str) -> Given:
        return Given((agent_id, branch, variant))

    @operation("GET", _BRANCH + "/attributes", GetAttributesResponse)
    def attributes(self, agent_id: str, branch: str) -> Given:
        return Given((agent_id, branch))

    @operation("POST", _BRANCH + "/attributes", AttributeResponse)
    def create_attribute(self, agent_id: str, branch: str, name: str) -> Given:
        return Given((agent_id, branch), body=AttributeBody(name=name))

    @operation("PATCH", _BRANCH + "/attributes/{attributeId}", AttributeResponse)
    def rename_attribute(self, agent_id: str, branch: str, attribute: str, name: str) -> Given:
        return Given((agent_id, branch, attribute), body=AttributeBody(name=name))

    @operation("DELETE", _BRANCH + "/attributes/{attributeId}", RemovedResponse)
    def remove_attribute(self, agent_id: str, branch: str, attribute: str) -> Given:
        return Given((agent_id, branch, attribute))
