"""What has become of a folder since a page of it was opened: told on Talk and on the agent's page, asked again and again."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.responses import Response

from vivavoce.console import page, showing
from vivavoce.console.visit import Page, Visit

PATH = "/console/agents/{agentId}/version"
MAX_HASH = 64  # characters


async def show(visit: Visit) -> Response:
    """Answered only when it is not as the page has it; `began` is the tree that the page began with."""
    given = visit.request.query_params
    now = await values(visit, is_talk=given.get("talk") == "1")
    if given.get("state") == now["state"]:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    began = given.get("began", now["tree"])[:MAX_HASH]
    return page.render(visit, "version.html", agent_id=visit.agent_id, **now | {"began": began})


async def values(visit: Visit, *, is_talk: bool) -> dict[str, Any]:
    """For `version.html`."""
    deployments, principal, agent_id = visit.services.deployments, visit.principal, visit.agent_id
    tree = (await deployments.resolve(principal, agent_id, "draft")).tree
    errors = sum(fault.severity == "error" for fault in deployments.faults(principal, agent_id))
    refusal = deployments.refusal(principal, agent_id) or ""
    state = hashlib.sha256(f"{tree} {errors} {refusal}".encode()).hexdigest()[:16]
    address = f"{PATH.replace('{agentId}', showing.segment(agent_id))}?talk={int(is_talk)}"
    return {
        "version_address": address,
        "is_talk": is_talk,
        "tree": tree,
        "began": tree,
        "errors": errors,
        "refusal": refusal,
        "state": state,
    }


PAGES = (Page(method="GET", path=PATH, handler=show, permission="read"),)
