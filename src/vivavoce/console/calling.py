"""Calling an agent from the page, by voice: the page is let in to a line, and speaks on it."""

from __future__ import annotations

from starlette.responses import Response

from vivavoce.console import page, showing, talk
from vivavoce.console.visit import Page, Visit
from vivavoce.errors import AgentNotFound
from vivavoce.service.redaction import sees_personal
from vivavoce.wire.calls import CreateCallResponse
from vivavoce.wire.chat import encode

PATH = "/console/call"


async def show(visit: Visit) -> Response:
    """The call page of the agent that is named, or of the first there is."""
    agents = await visit.services.deployments.agents(visit.principal)
    wanted = visit.request.query_params.get("agent")
    found = next((a for a in agents if a.served is not None and wanted in (None, a.agent_id)), None)
    if found is None:
        raise AgentNotFound("There is no agent to be called that this key may see.")
    return page.redirect(f"{talk.PATH.replace('{agentId}', showing.segment(found.agent_id))}?mode=call")


async def invite(visit: Visit) -> Response:
    # What is said is told while it is said only to who may see personal data; the others see committed turns.
    invited = await visit.services.calls.invite(
        visit.principal, visit.agent_id, talk.opening_of(visit), is_told=sees_personal(visit.principal)
    )
    body = CreateCallResponse(
        conversation_id=invited.conversation_id,
        token=invited.token,
        path=f"/v1/calls/{invited.token}",
        expires_in_seconds=invited.seconds,
    )
    headers = {"Cache-Control": "no-store", **page.HEADERS}
    return Response(encode(body), 201, headers, media_type="application/json")


PAGES = (
    Page(method="GET", path=PATH, handler=show, permission="chat"),
    Page(method="POST", path="/console/agents/{agentId}/calls", handler=invite, permission="chat"),
)
