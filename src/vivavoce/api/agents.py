"""Agents and their branches over HTTP, and the parts that are changed on a branch."""

from __future__ import annotations

from typing import Any

from msgspec import UnsetType

from vivavoce.api.conversations import author
from vivavoce.api.route import Answer, Call, Route
from vivavoce.service.branches import MERGED, Merged
from vivavoce.wire import agents as wire
from vivavoce.wire.chat import encode

_AGENTS = "/v1/accounts/{accountId}/agents"
_AGENT = "/v1/agents/{agentId}"
_BRANCHES = _AGENT + "/branches"
_BRANCH = _BRANCHES + "/{branchId}"
_TOPICS = _BRANCH + "/knowledge-base/topics"
_VARIANTS = _BRANCH + "/variants"
_ATTRIBUTES = _BRANCH + "/attributes"


# Agents.


async def agents(call: Call) -> Answer:
    found = await call.services.agents.listed(call.principal, call.request.path_params["accountId"])
    return Answer(body=encode([wire.agent(each) for each in found]))


async def create_agent(call: Call) -> Answer:
    body: wire.CreateAgentBody = call.body
    made = await call.services.agents.create(
        call.principal,
        call.request.path_params["accountId"],
        body.name,
        agent_id=wire.given(body.agent_id),
        greeting=body.response_settings.greeting,
        language=body.response_settings.language_code,
    )
    return Answer(body=encode(wire.agent(made)))


async def duplicate_agent(call: Call) -> Answer:
    body: wire.DuplicateAgentBody = call.body
    made = await call.services.agents.duplicate(
        call.principal, call.request.path_params["agentId"], body.new_agent_name, new_id=wire.given(body.new_agent_id)
    )
    return Answer(body=encode(wire.agent(made)))


async def remove_agent(call: Call) -> Answer:
    await call.services.agents.remove(call.principal, call.request.path_params["agentId"])
    return Answer(status=204)


# Branches.


async def branches(call: Call) -> Answer:
    found = await call.services.branches.listed(call.principal, call.request.path_params["agentId"])
    return Answer(body=encode(wire.branches(found)))


async def create_branch(call: Call) -> Answer:
    body: wire.CreateBranchBody = call.body
    made = await call.services.branches.create(
        call.principal,
        call.request.path_params["agentId"],
        body.branch_name,
        by=author(call),
        source=body.source_branch_id or "main",
        expected=body.expected_main_last_known_sequence,
    )
    return Answer(status=201, body=encode(wire.created(made)))


async def remove_branch(call: Call) -> Answer:
    branch = await call.services.branches.archive(call.principal, *_branch(call))
    return Answer(body=encode(wire.DeleteBranchResponse(sequence=str(branch.sequence), message="Branch deleted")))


async def merge_branch(call: Call) -> Answer:
    body: wire.MergeBranchBody = call.body
    merged = await call.services.branches.merge(
        call.principal,
        *_branch(call),
        by=author(call),
        message=body.deployment_message,
        resolutions=wire.resolutions(body),
        expected=body.expected_branch_last_known_sequence,
    )
    return merge_answer(merged)


def merge_answer(merged: Merged, *, conflict_status: int = 400) -> Answer:
    if merged.conflicts:
        return Answer(status=conflict_status, body=encode(wire.conflicts(merged.conflicts)))
    done = wire.MergeBranchResponse(sequence=str(merged.sequence), message=MERGED, test_run_ids=[])
    return Answer(body=encode(done))


async def branch_history(call: Call) -> Answer:
    return Answer(body=encode(wire.history(await call.services.branches.history(call.principal, *_branch(call)))))


def _branch(call: Call) -> tuple[str, str]:
    return call.request.path_params["agentId"], call.request.path_params["branchId"]


# Parts.


async def behaviour(call: Call) -> Answer:
    found = await call.services.authoring.behaviour(call.principal, *_branch(call))
    return Answer(body=encode(wire.AgentRulesResponse(behavior=found)))


async def put_behaviour(call: Call) -> Answer:
    body: wire.UpdateAgentRulesBody = call.body
    found = await call.services.authoring.put_behaviour(call.principal, *_branch(call), body.behavior, by=author(call))
    return Answer(body=encode(wire.AgentRulesResponse(behavior=found)))


async def topics(call: Call) -> Answer:
    found = await call.services.authoring.topics(call.principal, *_branch(call))
    return Answer(body=encode([wire.topic(each) for each in found]))


async def create_topic(call: Call) -> Answer:
    body: wire.CreateTopicBody = call.body
    made = await call.services.authoring.create_topic(
        call.principal,
        *_branch(call),
        by=author(call),
        name=body.name,
        content=body.content,
        actions=body.actions,
        example_queries=() if isinstance(body.example_queries, UnsetType) else tuple(body.example_queries.queries),
        enabled=body.is_active,
    )
    return Answer(status=201, body=encode(wire.topic(made)))


async def topic(call: Call) -> Answer:
    found = await call.services.authoring.topic(call.principal, *_branch(call), _part(call, "topicId"))
    return Answer(body=encode(wire.topic(found)))


async def change_topic(call: Call) -> Answer:
    await call.services.authoring.change_topic(
        call.principal, *_branch(call), _part(call, "topicId"), wire.topic_changes(call.body), by=author(call)
    )
    return Answer(status=204)


async def remove_topic(call: Call) -> Answer:
    await call.services.authoring.remove_topic(call.principal, *_branch(call), _part(call, "topicId"), by=author(call))
    return Answer(status=204)


async def variants(call: Call) -> Answer:
    found = await call.services.authoring.variants(call.principal, *_branch(call))
    return Answer(body=encode(wire.GetVariantsResponse(variants=[wire.variant(each) for each in found])))


async def create_variant(call: Call) -> Answer:
    body: wire.CreateVariantBody = call.body
    made = await call.services.authoring.create_variant(
        call.principal,
        *_branch(call),
        by=author(call),
        name=body.name,
        values=body.attribute_values.values,
        is_default=body.is_default,
    )
    return Answer(status=201, body=encode(wire.variant(made)))


async def change_variant(call: Call) -> Answer:
    body: wire.UpdateVariantBody = call.body
    changed = await call.services.authoring.change_variant(
        call.principal,
        *_branch(call),
        _part(call, "variantId"),
        by=author(call),
        name=wire.given(body.name),
        values=None if isinstance(body.attribute_values, UnsetType) else body.attribute_values.values,
        is_default=wire.given(body.is_default),
    )
    return Answer(body=encode(wire.variant(changed)))


async def remove_variant(call: Call) -> Answer:
    id = _part(call, "variantId")
    await call.services.authoring.remove_variant(call.principal, *_branch(call), id, by=author(call))
    return Answer(body=encode(wire.RemovedResponse(id=id)))


async def attributes(call: Call) -> Answer:
    found = await call.services.authoring.attributes(call.principal, *_branch(call))
    return Answer(body=encode(wire.GetAttributesResponse(attributes=[wire.attribute(each) for each in found])))


async def create_attribute(call: Call) -> Answer:
    body: wire.AttributeBody = call.body
    made = await call.services.authoring.create_attribute(call.principal, *_branch(call), body.name, by=author(call))
    return Answer(status=201, body=encode(wire.attribute(made)))


async def rename_attribute(call: Call) -> Answer:
    body: wire.AttributeBody = call.body
    changed = await call.services.authoring.rename_attribute(
        call.principal, *_branch(call), _part(call, "attributeId"), body.name, by=author(call)
    )
    return Answer(body=encode(wire.attribute(changed)))


async def remove_attribute(call: Call) -> Answer:
    id = _part(call, "attributeId")
    await call.services.authoring.remove_attribute(call.principal, *_branch(call), id, by=author(call))
    return Answer(body=encode(wire.RemovedResponse(id=id)))


def _part(call: Call, name: str) -> str:
    found: str = call.request.path_params[name]
    return found


def _reads(path: str, handler: Any, summary: str, response: type | None = None) -> Route:
    return Route(
        method="GET", path=path, handler=handler, summary=summary, permission="read", response=response,
        errors=(401, 403, 404),
    )  # fmt: skip


def _writes(
    method: str, path: str, handler: Any, summary: str, request: type | None = None, response: type | None = None,
    *, status: int = 200,
) -> Route:  # fmt: skip
    """On a branch; main is changed by merging only, which is a 422 here."""
    errors = (400, 401, 403, 404, 409, *((413,) if request is not None else ()), 422)
    return Route(
        method=method, path=path, handler=handler, summary=summary, permission="write", request=request,
        response=response, status=status, errors=errors,
    )  # fmt: skip


ROUTES = (
    _reads(_AGENTS, agents, "The agents of an account.", list[wire.AgentResponse]),
    Route(
        method="POST", path=_AGENTS, handler=create_agent, summary="Begin an agent, from a small working folder.",
        permission="admin", request=wire.CreateAgentBody, response=wire.AgentResponse,
        errors=(400, 401, 403, 404, 409, 413),
    ),
    Route(
        method="DELETE", path=_AGENT, handler=remove_agent,
        summary="Remove an agent that is not served from a folder and has no conversations.",
        permission="admin", status=204, errors=(401, 403, 404, 409),
    ),
    Route(
        method="POST", path=f"{_AGENT}/duplicate", handler=duplicate_agent, summary="A new agent that is as this one is now.",
        permission="admin", request=wire.DuplicateAgentBody, response=wire.AgentResponse,
        errors=(400, 401, 403, 404, 409, 413),
    ),
    _reads(_BRANCHES, branches, "The branches of an agent; main is the folder as it is served.", wire.GetBranchesResponse),
    _writes("POST", _BRANCHES, create_branch, "A branch of main, or of another one.", wire.CreateBranchBody, wire.CreateBranchResponse, status=201),
    _writes("DELETE", _BRANCH, remove_branch, "Put a branch away; it can be had back.", response=wire.DeleteBranchResponse),
    Route(
        method="POST", path=f"{_BRANCH}/merge", handler=merge_branch,
        summary="Merge a branch into its parent; what comes to main is deployed to sandbox. Conflicts are a 400 that lists them.",
        permission="admin", request=wire.MergeBranchBody, response=wire.MergeBranchResponse,
        errors=(400, 401, 403, 404, 409, 413, 422),
    ),
    _reads(f"{_BRANCH}/history", branch_history, "What was done on a branch, oldest first.", wire.BranchHistoryResponse),
    _reads(f"{_BRANCH}/behavior", behaviour, "How the agent is to behave.", wire.AgentRulesResponse),
    _writes("PATCH", f"{_BRANCH}/behavior", put_behaviour, "Replace how the agent is to behave.", wire.UpdateAgentRulesBody, wire.AgentRulesResponse),
    _reads(_TOPICS, topics, "The topics of the knowledge base, by name.", list[wire.TopicResponse]),
    _writes("POST", _TOPICS, create_topic, "A new topic.", wire.CreateTopicBody, wire.TopicResponse, status=201),
    _reads(f"{_TOPICS}/{{topicId}}", topic, "One topic.", wire.TopicResponse),
    _writes("PATCH", f"{_TOPICS}/{{topicId}}", change_topic, "Change what is given of a topic.", wire.UpdateTopicBody, status=204),
    _writes("DELETE", f"{_TOPICS}/{{topicId}}", remove_topic, "Remove a topic.", status=204),
    _reads(_VARIANTS, variants, "The variants, with their attributes' values.", wire.GetVariantsResponse),
    _writes("POST", _VARIANTS, create_variant, "A new variant.", wire.CreateVariantBody, wire.VariantResponse, status=201),
    _writes("PATCH", f"{_VARIANTS}/{{variantId}}", change_variant, "Change what is given of a variant.", wire.UpdateVariantBody, wire.VariantResponse),
    _writes("DELETE", f"{_VARIANTS}/{{variantId}}", remove_variant, "Remove a variant that is not the default.", response=wire.RemovedResponse),
    _reads(_ATTRIBUTES, attributes, "The attributes that variants have values of.", wire.GetAttributesResponse),
    _writes("POST", _ATTRIBUTES, create_attribute, "A new attribute, empty for every variant.", wire.AttributeBody, wire.AttributeResponse, status=201),
    _writes("PATCH", f"{_ATTRIBUTES}/{{attributeId}}", rename_attribute, "Rename an attribute.", wire.AttributeBody, wire.AttributeResponse),
    _writes("DELETE", f"{_ATTRIBUTES}/{{attributeId}}", remove_attribute, "Remove an attribute.", response=wire.RemovedResponse),
)  # fmt: skip
