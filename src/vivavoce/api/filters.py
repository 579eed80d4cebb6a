"""Which conversations a request asks for: the filters of the agent's list and of its export, read once for both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vivavoce.api.route import Call, Query
from vivavoce.domain import words
from vivavoce.domain.record import Criteria, Text
from vivavoce.errors import Invalid
from vivavoce.service.redaction import sees_personal
from vivavoce.wire.conversations import LABELS, family

ENVIRONMENTS = ("sandbox", "pre-release", "live", "draft")


class FilterInvalid(Invalid):
    code = "GET_CONVERSATIONS_FILTER_PARSE_ERROR"


def criteria_of(call: Call) -> Criteria:
    """What the filters of the agent's list ask for."""
    query = call.query
    return Criteria(
        since=query["startTime"],
        until=query["endTime"],
        environments=query["clientEnv"],
        channels=channels_of(query["channel"]),
        variants=query["variantId"],
        deployments=query["deploymentId"],
        languages=query["language"],
        directions=query["direction"],
        groups=query["testGroup"],
        handoff=query["handoff"],
        destinations=query["handoffDestination"],
        tags=query["tag"],
        annotations=query["annotation"],
        functions=query["function"],
        metrics=_metrics(query["metric"]),
        contacts=query["contact"],
        in_progress=query["inProgress"],
        min_score=query["minScore"],
        max_score=query["maxScore"],
        min_duration=query["minDuration"],
        max_duration=query["maxDuration"],
        text=text_of(call, query.get("queryType"), query.get("turnType")),
    )


def text_of(call: Call, kind: str | None, side: Any) -> Text | None:
    if kind != "transcript" or not call.query.get("query"):
        return None
    # Without the right to see personal data, only what is left without it is searched: a hit would tell.
    is_redacted = not sees_personal(call.principal)
    return Text(phrases=words.phrases(call.query["query"]), role=side, is_redacted=is_redacted)


def channels_of(labels: Sequence[str]) -> tuple[str, ...]:
    found = []
    for label in labels:
        channel = family(label)
        if channel is None:
            raise FilterInvalid(f"channel is {label[:40]!r}; it should be one of {', '.join(LABELS.values())}.")
        found.append(channel)
    return tuple(found)


def _metrics(texts: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    found = []
    for text in texts:
        name, colon, value = text.partition(":")
        if not name:
            raise FilterInvalid(f"metric is {text[:40]!r}; it should be NAME, or NAME:VALUE.")
        found.append((name, value if colon else None))
    return tuple(found)


def filter_of(name: str, description: str) -> Query:
    return Query(name=name, type="list", description=f"{description} May be given again for others.")


AGENT_FILTERS = (
    Query(name="startTime", type="time", description="Begun at this time or later."),
    Query(name="endTime", type="time", description="Begun before this time."),
    Query(name="clientEnv", type="list", choices=ENVIRONMENTS, description="Run in this environment."),
    filter_of("channel", "Held on this channel: VOICE-SIP, WEBCHAT, CHAT, SMS, RCS or WHATSAPP."),
    filter_of("variantId", "Begun as this variant."),
    filter_of("deploymentId", "Begun on this deployment."),
    filter_of("language", "In this language."),
    Query(name="direction", type="list", choices=("inbound", "outbound"), description="Who began it."),
    filter_of("testGroup", "In this group of an A/B test."),
    Query(name="handoff", type="boolean", description="Handed off, or not."),
    filter_of("handoffDestination", "Handed off to this destination."),
    filter_of("tag", "With this tag."),
    filter_of("annotation", "With an annotation of this type; any is any."),
    filter_of("function", "In which this function ran."),
    filter_of("metric", "With this metric: NAME, or NAME:VALUE. Needs the right to see personal data."),
    filter_of("contact", "From or to this number or address. Needs the right to see personal data."),
    Query(name="inProgress", type="boolean", description="Still going on, or ended."),
    Query(name="minScore", type="integer", minimum=1, maximum=5, description="Scored so much or more."),
    Query(name="maxScore", type="integer", minimum=1, maximum=5, description="Scored so much or less."),
    Query(name="minDuration", type="integer", minimum=0, description="Ended after so many seconds or more."),
    Query(name="maxDuration", type="integer", minimum=0, description="Ended after so many seconds or fewer."),
)
