"""Real-time configuration over HTTP."""

from __future__ import annotations

from vivavoce.api.route import Answer, Call, Route
from vivavoce.service.real_time import Page
from vivavoce.wire.chat import encode
from vivavoce.wire.surroundings import (
    GetConfigPageResponse,
    GetConfigPagesResponse,
    UpdateConfigSchemaBody,
    UpdateConfigVariablesBody,
    config_page,
)


async def pages(call: Call) -> Answer:
    found = await call.services.real_time.pages(call.principal, call.request.path_params["agentId"])
    return Answer(body=encode(GetConfigPagesResponse(config_pages=[_shown(page) for page in found])))


async def page(call: Call) -> Answer:
    return Answer(body=encode(_shown(await call.services.real_time.page(call.principal, *_place(call)))))


async def put_schema(call: Call) -> Answer:
    body: UpdateConfigSchemaBody = call.body
    return Answer(
        body=encode(_shown(await call.services.real_time.put_schema(call.principal, *_place(call), body.schema)))
    )


async def put_variables(call: Call) -> Answer:
    body: UpdateConfigVariablesBody = call.body
    changed = await call.services.real_time.put_variables(call.principal, *_place(call), body.variables)
    return Answer(body=encode(_shown(changed)))


def _place(call: Call) -> tuple[str, str]:
    return call.request.path_params["agentId"], call.request.path_params["clientEnv"]


def _shown(page: Page) -> GetConfigPageResponse:
    return config_page(page.environment, page.schema, page.variables, page.changed_at)


ROUTES = (
    Route(
        method="GET",
        path="/v1/agents/{agentId}/real-time-configs",
        handler=pages,
        summary="The real-time configuration of every environment.",
        permission="read",
        response=GetConfigPagesResponse,
        errors=(401, 403, 404),
    ),
    Route(
        method="GET",
        path="/v1/agents/{agentId}/real-time-configs/{clientEnv}",
        handler=page,
        summary="The real-time configuration of one environment.",
        permission="read",
        response=GetConfigPageResponse,
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="PUT",
        path="/v1/agents/{agentId}/real-time-configs/{clientEnv}/schema",
        handler=put_schema,
        summary="Replace the JSON Schema that the variables must fit.",
        permission="write",
        request=UpdateConfigSchemaBody,
        response=GetConfigPageResponse,
        errors=(400, 401, 403, 404, 413),
    ),
    Route(
        method="PATCH",
        path="/v1/agents/{agentId}/real-time-configs/{clientEnv}/variables",
        handler=put_variables,
        summary="Replace the variables; running conversations read them on their next turn.",
        permission="write",
        request=UpdateConfigVariablesBody,
        response=GetConfigPageResponse,
        errors=(400, 401, 403, 404, 413),
    ),
)
