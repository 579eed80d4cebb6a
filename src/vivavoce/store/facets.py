"""What a conversation can be found by: pairs of a name and a value, from its head, its review and its whole record."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from vivavoce.domain.conversation import Closing, Conversation, Turn
from vivavoce.domain.record import Criteria, Review

Facet: TypeAlias = tuple[str, str]
Group: TypeAlias = tuple[Facet, ...]  # alternatives

EVERY: Facet = ("every", "")


def of_head(conversation: Conversation) -> frozenset[Facet]:
    found: set[Facet] = {
        EVERY,
        ("environment", conversation.environment),
        ("channel", conversation.channel.split(".")[0]),
        ("variant", conversation.variant or ""),
        ("deployment", conversation.deployment_id or ""),
        ("language", conversation.language),
        ("direction", conversation.direction),
        ("group", conversation.test_group or ""),
        ("state", "ended" if conversation.is_ended else "open"),
        ("handoff", "yes" if conversation.is_handoff else "no"),
    }
    found.update(("contact", contact(text)) for text in (conversation.from_number, conversation.to_number) if text)
    if conversation.handoff_destination:
        found.add(("destination", conversation.handoff_destination))
    return frozenset(found)


def of_review(review: Review) -> frozenset[Facet]:
    found = {("tag", tag) for tag in review.tags} | {("annotation", a.type) for a in review.annotations}
    if review.annotations:
        found.add(("annotation", "any"))
    if review.score is not None and review.score.value is not None:
        found.add(("score", str(review.score.value)))
    return frozenset(found)


def of_record(turns: Iterable[Turn], closing: Closing | None) -> frozenset[Facet]:
    """What only the whole record tells: which functions ran, which metrics were written."""
    found: set[Facet] = set()
    for part in (*turns, *((closing,) if closing is not None else ())):
        found.update(("function", call.name) for call in part.calls)
        for metric in part.metrics:
            found |= {("metric", metric.name), ("metric", f"{metric.name}\0{metric.text}")}
    return frozenset(found)


def wanted(criteria: Criteria) -> list[Group]:
    """Each group must hold by one of its members. What facets do not tell (times, durations, words) is left out."""
    groups: list[Group] = []
    for name, values in (
        ("environment", criteria.environments),
        ("channel", criteria.channels),
        ("variant", criteria.variants),
        ("deployment", criteria.deployments),
        ("language", criteria.languages),
        ("direction", criteria.directions),
        ("group", criteria.groups),
        ("destination", criteria.destinations),
        ("tag", criteria.tags),
        ("annotation", criteria.annotations),
        ("function", criteria.functions),
    ):
        if values:
            groups.append(tuple((name, value) for value in values))
    if criteria.contacts:
        groups.append(tuple(("contact", contact(text)) for text in criteria.contacts))
    if criteria.metrics:
        groups.append(tuple(("metric", n if value is None else f"{n}\0{value}") for n, value in criteria.metrics))
    if criteria.handoff is not None:
        groups.append((("handoff", "yes" if criteria.handoff else "no"),))
    if criteria.in_progress is not None:
        groups.append((("state", "open" if criteria.in_progress else "ended"),))
    if criteria.min_score is not None or criteria.max_score is not None:
        low, high = criteria.min_score or 1, 5 if criteria.max_score is None else criteria.max_score
        groups.append(tuple(("score", str(n)) for n in range(max(low, 1), min(high, 5) + 1)))
    return groups


def contact(text: str) -> str:
    """Numbers compare by their digits, addresses without regard to case."""
    digits = re.sub(r"\D", "", text)
    return digits if len(digits) >= 5 and "@" not in text else text.strip().casefold()
