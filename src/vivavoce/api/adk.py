"""The routes of the field's own command-line client, under /adk/v1."""

from __future__ import annotations

from vivavoce.api import chat
from vivavoce.api.route import Answer, Call, Route
from vivavoce.domain.principal import Principal
from vivavoce.errors import AgentNotFound, ConversationEnded, ConversationNotFound, NotFound
from vivavoce.service.chats import Opening, Said, Taken
from vivavoce.service.deployments import KnownAgent
from vivavoce.service.services import Services
from vivavoce.service.versions import STAGES, InvalidEnvironment
from vivavoce.wire import adk as wire
from vivavoce.wire import deployments
from vivavoce.wire.chat import encode
from vivavoce.wire.query import Query

_PROJECTS = "/adk/v1/accounts/{account_id}/projects"
_PROJECT = _PROJECTS + "/{project_id}"


class AccountNotFound(NotFound):
    code = "ACCOUNT_NOT_FOUND"


# Accounts and projects.


async def accounts(call: Call) -> Answer:
    known = await call.services.deployments.agents(call.principal)
    return Answer(body=encode(wire.accounts(sorted({agent.account_id for agent in known}))))


async def projects(call: Call) -> Answer:
    found = await _projects(call.services, call.principal, call.request.path_params["account_id"])
    named = [wire.AdkProject(id=known.agent_id, name=_name(known)) for known in found]
    return Answer(body=encode(wire.AdkProjects(projects=named)))


async def project(call: Call) -> Answer:
    agent_id = await _project(call)
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


async def _project(call: Call) -> str:
    """The agent that the path names."""
    account_id, agent_id = call.request.path_params["account_id"], call.request.path_params["project_id"]
    if await call.services.deployments.account_of(call.principal, agent_id) != account_id:
        raise AgentNotFound(f"There is no agent {agent_id!r} in account {account_id!r}.")
    return str(agent_id)


# Deployments.


async def deployed(call: Call) -> Answer:
    found = await call.services.versions.listed(call.principal, await _project(call), call.query["client_env"])
    return Answer(body=encode(deployments.adk_listed(found)))


async def active(call: Call) -> Answer:
    found = await call.services.versions.active(call.principal, await _project(call))
    return Answer(body=encode(deployments.adk_active(found)))


# Chat.


async def create(call: Call) -> Answer:
    body: wire.AdkChatBody = call.body
    opening = Opening(
        environment=body.client_env,
        channel=body.channel,
        variant=body.variant_id,
        asr_language=body.asr_lang_code,
        tts_language=body.tts_lang_code,
        sip_headers=body.sip_headers or {},
    )
    return await chat.opened(call, await _project(call), opening, 200, _rendered)


async def respond(call: Call) -> Answer:
    body: wire.AdkRespondBody = call.body
    said = Said(
        text=body.message,
        environment=body.client_env,
        asr_language=body.asr_lang_code,
        tts_language=body.tts_lang_code,
    )
    agent_id = await _project(call)
    try:
        return await chat.responded(call, agent_id, call.request.path_params["conversation_id"], said, _rendered)
    except ConversationNotFound as error:
        raise ConversationEnded(error.message) from None  # what is not there is gone, to this client


async def end(call: Call) -> Answer:
    agent_id = await _project(call)
    try:
        await call.services.chats.end(call.principal, agent_id, call.request.path_params["conversation_id"])
    except ConversationNotFound as error:
        raise ConversationEnded(error.message) from None
    return Answer(body=encode({"function_events": []}))


def _rendered(taken: Taken, call: Call) -> bytes:
    return encode(wire.reply(chat.reply(taken, call)))


ROUTES = (
    Route(
        method="GET", path="/adk/v1/accounts", handler=accounts, summary="The accounts that the key sees.",
        permission="chat", errors=(401, 403),
    ),
    Route(
        method="GET", path=_PROJECTS, handler=projects, summary="The agents of an account.",
        permission="chat", response=wire.AdkProjects, errors=(401, 403, 404),
    ),
    Route(
        method="GET", path=_PROJECT, handler=project, summary="One agent, and how it is deployed.",
        permission="chat", errors=(401, 403, 404),
    ),
    Route(
        method="GET", path=f"{_PROJECT}/deployments", handler=deployed,
        summary="The deployments of an environment, newest first.", permission="read",
        query=(Query(name="client_env", type="string", default="sandbox", choices=STAGES),),
        query_error=InvalidEnvironment, errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET", path=f"{_PROJECT}/deployments/active", handler=active,
        summary="What serves each environment.", permission="read", errors=(401, 403, 404),
    ),
    Route(
        method="POST", path=f"{_PROJECT}/chat", handler=create,
        summary="Start a conversation; the reply holds the greeting.", permission="chat",
        request=wire.AdkChatBody, errors=(400, 401, 403, 404, 409, 413, 503), is_idempotent=True,
    ),
    Route(
        method="POST", path=f"{_PROJECT}/chat/{{conversation_id}}", handler=respond,
        summary="Send one message.", permission="chat",
        request=wire.AdkRespondBody, errors=(400, 401, 403, 404, 409, 410, 413, 503), is_idempotent=True,
    ),
    Route(
        method="POST", path=f"{_PROJECT}/chat/{{conversation_id}}/end", handler=end,
        summary="End a conversation; ending it again changes nothing.", permission="chat",
        request=wire.AdkEndBody, errors=(400, 401, 403, 404, 409, 410, 413, 503),
    ),
)  # fmt: skip
