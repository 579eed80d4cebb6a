"""The routes of the field's own command-line client, under /adk/v1."""

from __future__ import annotations

from vivavoce.api import chat
from vivavoce.api.agents import merge_answer
from vivavoce.api.conversations import author
from vivavoce.api.route import Answer, Call, Route
from vivavoce.domain.branch import MAIN
from vivavoce.domain.principal import Principal
from vivavoce.errors import AgentNotFound, ConversationEnded, ConversationNotFound
from vivavoce.service.agents import AccountNotFound
from vivavoce.service.chats import Opening, Said, Taken
from vivavoce.service.deployments import KnownAgent
from vivavoce.service.services import Services
from vivavoce.service.versions import STAGES, InvalidEnvironment
from vivavoce.wire import adk as wire
from vivavoce.wire import agents as agents_wire
from vivavoce.wire import deployments
from vivavoce.wire.chat import encode
from vivavoce.wire.query import Query

_PROJECTS = "/adk/v1/accounts/{account_id}/projects"
PROJECT = _PROJECTS + "/{project_id}"
_BRANCHES = PROJECT + "/branches"
BRANCH = _BRANCHES + "/{branch_id}"


# Accounts and projects.


async def accounts(call: Call) -> Answer:
    known = await call.services.deployments.agents(call.principal)
    return Answer(body=encode(wire.accounts(sorted({agent.account_id for agent in known}))))


async def projects(call: Call) -> Answer:
    found = await _projects(call.services, call.principal, call.request.path_params["account_id"])
    named = [wire.AdkProject(id=known.agent_id, name=_name(known)) for known in found]
    return Answer(body=encode(wire.AdkProjects(projects=named)))


async def project(call: Call) -> Answer:
    agent_id = await agent_of(call)
    known = await _projects(call.services, call.principal, call.request.path_params["account_id"])
    name = next(_name(each) for each in known if each.agent_id == agent_id)
    return Answer(body=encode({"id": agent_id, "name": name, "config": {"deployment_mode": "releases"}}))


async def _projects(services: Services, principal: Principal, account_id: str) -> list[KnownAgent]:
    found = [known for known in await services.deployments.agents(principal) if known.account_id == account_id]
    if not found:
        raise AccountNotFound(f"There is no account {account_id[:64]!r}.")
    return found


def _name(known: KnownAgent) -> str:
    name = known.served.loaded.agent.identity.name if known.served is not None else ""
    return name or known.agent_id


async def agent_of(call: Call) -> str:
    """The agent that the path names."""
    account_id, agent_id = call.request.path_params["account_id"], call.request.path_params["project_id"]
    if await call.services.deployments.account_of(call.principal, agent_id) != account_id:
        raise AgentNotFound(f"There is no agent {agent_id!r} in account {account_id!r}.")
    return str(agent_id)


# Deployments.


async def deployed(call: Call) -> Answer:
    found = await call.services.versions.listed(call.principal, await agent_of(call), call.query["client_env"])
    return Answer(body=encode(deployments.adk_listed(found)))


async def active(call: Call) -> Answer:
    found = await call.services.versions.active(call.principal, await agent_of(call))
    return Answer(body=encode(deployments.adk_active(found)))


# Chat.


async def create(call: Call) -> Answer:
    body: wire.AdkChatBody = call.body
    return await _opened(call, body, environment=body.client_env)


async def create_draft(call: Call) -> Answer:
    body: wire.AdkDraftChatBody = call.body
    return await _opened(call, body, environment="draft", deployment=body.artifact_version)


async def _opened(
    call: Call,
    body: wire.AdkChatBody | wire.AdkDraftChatBody,
    *,
    environment: str,
    deployment: str | None = None,
) -> Answer:
    opening = Opening(
        environment=environment,
        deployment=deployment,
        channel=body.channel,
        variant=body.variant_id,
        asr_language=body.asr_lang_code,
        tts_language=body.tts_lang_code,
        sip_headers=body.sip_headers or {},
    )
    return await chat.opened(call, await agent_of(call), opening, 200, _rendered)


async def respond(call: Call) -> Answer:
    body: wire.AdkRespondBody = call.body
    said = Said(
        text=body.message,
        environment=body.client_env,
        asr_language=body.asr_lang_code,
        tts_language=body.tts_lang_code,
    )
    agent_id = await agent_of(call)
    try:
        return await chat.responded(call, agent_id, call.request.path_params["conversation_id"], said, _rendered)
    except ConversationNotFound as error:
        raise ConversationEnded(error.message) from None  # what is not there is gone, to this client


async def end(call: Call) -> Answer:
    agent_id = await agent_of(call)
    try:
        await call.services.chats.end(call.principal, agent_id, call.request.path_params["conversation_id"])
    except ConversationNotFound as error:
        raise ConversationEnded(error.message) from None
    return Answer(body=encode({"function_events": []}))


# Branches.


async def branches(call: Call) -> Answer:
    found = await call.services.branches.listed(call.principal, await agent_of(call))
    listed = agents_wire.branches(found)
    listed.branches[:] = [
        branch for branch in listed.branches if branch.branch_id != MAIN
    ]  # this client adds it itself
    return Answer(body=encode(listed))


async def create_branch(call: Call) -> Answer:
    body: agents_wire.CreateBranchBody = call.body
    made = await call.services.branches.create(
        call.principal,
        await agent_of(call),
        body.branch_name,
        by=author(call),
        source=body.source_branch_id or MAIN,
        expected=body.expected_main_last_known_sequence,
    )
    return Answer(status=201, body=encode(agents_wire.created(made)))


async def archive(call: Call) -> Answer:
    found = await call.services.branches.listed(call.principal, await agent_of(call), archived=True)
    return Answer(body=encode(wire.archived(found)))


async def sequence(call: Call) -> Answer:
    branch = await call.services.branches.get(call.principal, await agent_of(call), branch_of(call))
    return Answer(body=encode({"lastKnownSequence": str(branch.sequence)}))


async def rename_branch(call: Call) -> Answer:
    body: wire.AdkRenameBody = call.body
    branch = await call.services.branches.rename(call.principal, await agent_of(call), branch_of(call), body.name)
    return Answer(body=encode({"branchId": branch.id, "name": branch.name}))


async def remove_branch(call: Call) -> Answer:
    body: wire.AdkExpectedBody = call.body
    branch = await call.services.branches.archive(
        call.principal, await agent_of(call), branch_of(call), expected=body.expected_branch_last_known_sequence
    )
    return Answer(body=encode({"sequence": str(branch.sequence), "message": "Branch deleted"}))


async def restore_branch(call: Call) -> Answer:
    branch = await call.services.branches.restore(call.principal, await agent_of(call), branch_of(call))
    return Answer(body=encode({"branchId": branch.id, "name": branch.name}))


async def tag_branch(call: Call) -> Answer:
    tag = call.body.tag if call.body is not None else None
    branch = await call.services.branches.tag(call.principal, await agent_of(call), branch_of(call), tag)
    return Answer(body=encode({"branchId": branch.id, "tag": branch.tag}))


async def merge_branch(call: Call) -> Answer:
    body: agents_wire.MergeBranchBody = call.body
    merged = await call.services.branches.merge(
        call.principal,
        await agent_of(call),
        branch_of(call),
        by=author(call),
        message=body.deployment_message,
        resolutions=agents_wire.resolutions(body),
        expected=body.expected_branch_last_known_sequence,
    )
    return merge_answer(merged)


async def sync_branch(call: Call) -> Answer:
    """Conflicts are a 200 here, which is how this client knows them."""
    body: agents_wire.MergeBranchBody = call.body
    merged = await call.services.branches.sync(
        call.principal,
        await agent_of(call),
        branch_of(call),
        by=author(call),
        resolutions=agents_wire.resolutions(body),
        expected=body.expected_branch_sequence,
    )
    return merge_answer(merged, conflict_status=200)


async def merge_history(call: Call) -> Answer:
    steps = await call.services.branches.history(call.principal, await agent_of(call), branch_of(call))
    return Answer(body=encode(wire.merges(steps)))


async def branch_chat(call: Call) -> Answer:
    body: wire.AdkExpectedBody = call.body
    deployment = await call.services.branches.to_try(
        call.principal, await agent_of(call), branch_of(call), expected=body.expected_branch_last_known_sequence
    )
    return Answer(
        body=encode({"success": True, "artifactVersion": deployment.id, "lambdaDeploymentVersion": deployment.tree})
    )


def branch_of(call: Call) -> str:
    return str(call.request.path_params["branch_id"])


def _rendered(taken: Taken, call: Call) -> bytes:
    return encode(wire.reply(chat.reply(taken, call)))


ROUTES = (
    Route(
        method="GET", path="/adk/v1/accounts", handler=accounts, summary="The accounts that the key sees.",
        permission="read", errors=(401, 403),
    ),
    Route(
        method="GET", path=_PROJECTS, handler=projects, summary="The agents of an account.",
        permission="read", response=wire.AdkProjects, errors=(401, 403, 404),
    ),
    Route(
        method="GET", path=PROJECT, handler=project, summary="One agent, and how it is deployed.",
        permission="read", errors=(401, 403, 404),
    ),
    Route(
        method="GET", path=f"{PROJECT}/deployments", handler=deployed,
        summary="The deployments of an environment, newest first.", permission="read",
        query=(Query(name="client_env", type="string", default="sandbox", choices=STAGES),),
        query_error=InvalidEnvironment, errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET", path=f"{PROJECT}/deployments/active", handler=active,
        summary="What serves each environment.", permission="read", errors=(401, 403, 404),
    ),
    Route(
        method="POST", path=f"{PROJECT}/chat", handler=create,
        summary="Start a conversation; the reply holds the greeting.", permission="chat",
        request=wire.AdkChatBody, errors=(400, 401, 403, 404, 409, 413, 503), is_idempotent=True,
    ),
    Route(
        method="POST", path=f"{PROJECT}/chat/{{conversation_id}}", handler=respond,
        summary="Send one message.", permission="chat",
        request=wire.AdkRespondBody, errors=(400, 401, 403, 404, 409, 410, 413, 503), is_idempotent=True,
    ),
    Route(
        method="POST", path=f"{PROJECT}/chat/{{conversation_id}}/end", handler=end,
        summary="End a conversation; ending it again changes nothing.", permission="chat",
        request=wire.AdkEndBody, errors=(400, 401, 403, 404, 409, 410, 413, 503),
    ),
    Route(
        method="POST", path=f"{PROJECT}/draft/chat", handler=create_draft,
        summary="Start a conversation on a branch, by what its chat told.", permission="chat",
        request=wire.AdkDraftChatBody, errors=(400, 401, 403, 404, 409, 413, 503), is_idempotent=True,
    ),
    Route(
        method="POST", path=f"{PROJECT}/draft/chat/{{conversation_id}}", handler=respond,
        summary="Send one message in it.", permission="chat",
        request=wire.AdkRespondBody, errors=(400, 401, 403, 404, 409, 410, 413, 503), is_idempotent=True,
    ),
    Route(
        method="GET", path=_BRANCHES, handler=branches, summary="The branches, without main.", permission="read",
        response=agents_wire.GetBranchesResponse, errors=(401, 403, 404),
    ),
    Route(
        method="POST", path=_BRANCHES, handler=create_branch, summary="A branch of main, or of another one.",
        permission="write", request=agents_wire.CreateBranchBody, response=agents_wire.CreateBranchResponse, status=201,
        errors=(400, 401, 403, 404, 409, 413),
    ),
    Route(
        method="GET", path=f"{_BRANCHES}/archive", handler=archive, summary="Branches that were put away.",
        permission="read", errors=(401, 403, 404),
    ),
    Route(
        method="PATCH", path=BRANCH, handler=rename_branch, summary="Rename a branch.", permission="write",
        request=wire.AdkRenameBody, errors=(400, 401, 403, 404, 409, 413, 422),
    ),
    Route(
        method="DELETE", path=BRANCH, handler=remove_branch, summary="Put a branch away.", permission="write",
        request=wire.AdkExpectedBody, errors=(400, 401, 403, 404, 409, 413, 422),
    ),
    Route(
        method="GET", path=f"{BRANCH}/sequence", handler=sequence, summary="The last step of a branch.",
        permission="read", errors=(401, 403, 404),
    ),
    Route(
        method="GET", path=f"{BRANCH}/merge-history", handler=merge_history, summary="Merges of a branch, newest first.",
        permission="read", errors=(401, 403, 404),
    ),
    Route(
        method="POST", path=f"{BRANCH}/merge", handler=merge_branch,
        summary="Merge a branch into its parent; conflicts are a 400 that lists them.", permission="admin",
        request=agents_wire.MergeBranchBody, response=agents_wire.MergeBranchResponse,
        errors=(400, 401, 403, 404, 409, 413, 422),
    ),
    Route(
        method="POST", path=f"{BRANCH}/sync", handler=sync_branch,
        summary="Bring what its parent has become into a branch.", permission="write",
        request=agents_wire.MergeBranchBody, errors=(400, 401, 403, 404, 409, 413, 422),
    ),
    Route(
        method="POST", path=f"{BRANCH}/restore", handler=restore_branch, summary="Have a branch back.",
        permission="write", errors=(400, 401, 403, 404, 409),
    ),
    Route(
        method="PUT", path=f"{BRANCH}/tag", handler=tag_branch, summary="Tag a branch.", permission="write",
        request=wire.AdkTagBody, errors=(400, 401, 403, 404, 409, 413, 422),
    ),
    Route(
        method="DELETE", path=f"{BRANCH}/tag", handler=tag_branch, summary="Take the tag off a branch.",
        permission="write", errors=(401, 403, 404, 409, 422),
    ),
    Route(
        method="POST", path=f"{BRANCH}/chat", handler=branch_chat, summary="What a draft chat on a branch begins on.",
        permission="chat", request=wire.AdkExpectedBody, errors=(400, 401, 403, 404, 409, 413),
    ),
)  # fmt: skip
