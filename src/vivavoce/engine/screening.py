"""Safety filters: which severities block what the user or the model says on a channel, and the looking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vivavoce.domain.agent import Agent
from vivavoce.domain.conversation import SafetyFinding, Severity
from vivavoce.engine.rendering import channel_family
from vivavoce.safety.lexical import classify

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft

# The least severity that a level blocks.
BLOCKS: dict[str, Severity] = {"lenient": "high", "medium": "medium", "strict": "low"}
_RANK: dict[Severity, int] = {"low": 0, "medium": 1, "high": 2}
_FILE_OF = {"voice": "voice", "webchat": "chat"}


def thresholds(agent: Agent, channel: str) -> dict[str, Severity]:
    """Category -> the least severity that is blocked. A channel's own filters win when they are switched on."""
    own = agent.safety.get(_FILE_OF.get(channel_family(channel), ""))
    filters = own if own is not None and own.enabled else agent.safety.get("")
    if filters is None or not filters.enabled:
        return {}
    return {name: BLOCKS[category.level] for name, category in filters.categories.items() if category.enabled}


async def blocks(draft: Draft, text: str, side: Literal["input", "output"]) -> bool:
    """Looks at a text and notes what was found. Attempts to take the agent over are looked for on every channel."""
    if not text:
        return False
    limits: dict[str, Severity] = dict(draft.prepared.thresholds(draft.channel))
    found: dict[str, Severity] = {}
    classifier = "lexical"
    if side == "input":
        if not draft.agent.experimental.filters_input:
            limits.clear()
        limits["jailbreak"] = "low"
        found.update(classify(text, ("jailbreak",)))
    if limits.keys() - {"jailbreak"}:
        classifier = draft.ports.classifier.name
        found.update({k: v for k, v in (await draft.ports.classifier.classify(text)).items() if k != "jailbreak"})
    is_blocked = False
    for category, severity in found.items():
        blocked = category in limits and _RANK[severity] >= _RANK[limits[category]]
        is_blocked = is_blocked or blocked
        draft.safety.append(
            SafetyFinding(
                side=side, category=category, severity=severity, is_blocked=blocked,
                classifier="lexical" if category == "jailbreak" else classifier,
            )
        )  # fmt: skip
    if is_blocked:
        draft.visit(f"safety:{side}")
    return is_blocked
