"""A turn as it is shown, under review and beside a talk: read, hidden from whom it must be hidden from, rendered."""

from __future__ import annotations

from typing import Any, get_args

from vivavoce.audio import pcm
from vivavoce.console import page, showing
from vivavoce.console.origins import Origins, origins
from vivavoce.console.visit import Visit
from vivavoce.domain.conversation import Turn
from vivavoce.domain.record import AnnotationType, BadReason, Role
from vivavoce.errors import AgentNotFound
from vivavoce.service import hiding
from vivavoce.service.conversations import Found
from vivavoce.service.redaction import by_hand, sees_personal, sides

PATH = "/console/agents/{agentId}/conversations/{conversationId}"
# In the order of the keys 1 to 6: what is said of it, and whose words it is about.
MARKS: dict[AnnotationType, tuple[str, Role]] = {
    "good_response": ("Good response", "agent"),
    "bad_response": ("Bad response", "agent"),
    "wrong_info": ("Wrong information", "agent"),
    "wrong_transcript": ("Wrong transcript", "user"),
    "missing_topic": ("Missing topic", "user"),
    "other": ("Other", "agent"),
}
REASONS: tuple[BadReason, ...] = get_args(BadReason)


def address(agent_id: str, id: str) -> str:
    return PATH.replace("{agentId}", showing.segment(agent_id)).replace("{conversationId}", showing.segment(id))


async def read(
    visit: Visit, id: str, first: int, *, limit: int, has_requests: bool = False
) -> tuple[Found, dict[str, Any]]:
    """Some turns of a conversation, and it as the visitor may see it. `has_requests`: with what models were asked."""
    found = await visit.services.conversations.part(
        visit.principal, visit.agent_id, id, first=first, limit=limit, has_history=has_requests
    )
    if sees_personal(visit.principal):
        return found, hiding.detail_of(found, visit.principal, has_requests=has_requests)
    return found, await hiding.apart(hiding.detail_of, found, visit.principal, has_requests=has_requests)


async def values(visit: Visit, found: Found) -> dict[str, Any]:
    """What the template of a turn needs besides the turn."""
    conversation = found.conversation
    return {
        "here": address(conversation.agent_id, conversation.id),
        "origins": await origins_of(visit, conversation.tree),
        "is_ended": conversation.is_ended,
        "can_mark": visit.may("write"),
        "rate": pcm.RATE,
        "hidden": {turn.index: _hidden(turn) for turn in found.turns} if sees_personal(visit.principal) else {},
        "mark_names": MARKS,
    }


def _hidden(turn: Turn) -> list[str]:
    """The words of a turn that reviewers have hidden."""
    texts = dict(sides(turn))
    return list(dict.fromkeys(texts[span.side][span.start : span.end] for span in by_hand(turn)))


async def origins_of(visit: Visit, tree: str) -> Origins:
    try:
        return origins(await visit.services.deployments.agent_of(tree))
    except AgentNotFound:
        return Origins()


async def rendered(visit: Visit, id: str, index: int) -> str:
    """One turn, alone."""
    found, body = await read(visit, id, index, limit=1)
    return page.text(visit, "turn_part.html", c=body, t=body["turns"][0], **await values(visit, found))
