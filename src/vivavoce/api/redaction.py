"""An agent's own redaction rules over HTTP, and their run over what was recorded before."""

from __future__ import annotations

from typing import Any

from vivavoce.api.route import Answer, Call, Route
from vivavoce.redaction.finder import OwnRules, Pattern
from vivavoce.service.redaction_rules import Run
from vivavoce.wire.chat import encode
from vivavoce.wire.redaction import RedactionBody, RedactionResponse, RedactionRunResponse
from vivavoce.wire.times import iso

_PATH = "/v1/agents/{agentId}/redaction"


async def get_rules(call: Call) -> Answer:
    agent_id, rules = call.request.path_params["agentId"], call.services.redaction_rules
    found = await rules.get(call.principal, agent_id)
    return Answer(body=encode(_shown(found, await rules.last_run(call.principal, agent_id))))


async def put_rules(call: Call) -> Answer:
    agent_id, rules = call.request.path_params["agentId"], call.services.redaction_rules
    body: RedactionBody = call.body
    wanted = OwnRules(
        patterns=tuple(Pattern(category=p.category, pattern=p.pattern) for p in body.patterns),
        keep=tuple(body.keep),
        shown=tuple(body.shown),
    )
    return Answer(body=encode(_shown(wanted, await rules.put(call.principal, agent_id, wanted))))


async def run(call: Call) -> Answer:
    begun = await call.services.redaction_rules.run(call.principal, call.request.path_params["agentId"])
    return Answer(status=202, body=encode(_run(begun)))


def _shown(rules: OwnRules, last: Run | None) -> dict[str, Any]:
    return {
        "patterns": rules.patterns,
        "keep": rules.keep,
        "shown": rules.shown,
        "run": _run(last) if last is not None else None,
    }


def _run(found: Run) -> dict[str, Any]:
    return {
        "conversations": found.conversations,
        "done": found.done,
        "startedAt": iso(found.started_at),
        "finishedAt": iso(found.finished_at),
    }


ROUTES = (
    Route(
        method="GET",
        path=_PATH,
        handler=get_rules,
        summary="The agent's own redaction rules, and how far they have gone over the record.",
        permission="read",
        response=RedactionResponse,
        errors=(401, 403, 404),
    ),
    Route(
        method="PUT",
        path=_PATH,
        handler=put_rules,
        summary="Replace the agent's own redaction rules; all that is shown follows them at once.",
        permission="admin",
        request=RedactionBody,
        response=RedactionResponse,
        errors=(400, 401, 403, 404, 413),
    ),
    Route(
        method="POST",
        path=f"{_PATH}/run",
        handler=run,
        summary="Decide anew what is personal in every conversation, in the background.",
        permission="admin",
        response=RedactionRunResponse,
        status=202,
        errors=(401, 403, 404),
    ),
)
