"""Which conversations are asked for, and how: the filters, searches and orders of an agent's list, wherever it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from vivavoce.domain import words
from vivavoce.domain.record import Criteria, Order, Text
from vivavoce.errors import Invalid
from vivavoce.wire.conversations import LABELS, family
from vivavoce.wire.query import Query

ENVIRONMENTS = ("sandbox", "pre-release", "live", "draft")
MAX_QUERY = 1_000  # characters
SORTS = {
    "startedAt": Order(by="started_at", is_descending=False),
    "-startedAt": Order(by="started_at"),
    "duration": Order(by="duration", is_descending=False),
    "-duration": Order(by="duration"),
    "polyScore": Order(by="score", is_descending=False),
    "-polyScore": Order(by="score"),
}
Mode: TypeAlias = Literal["list", "transcript", "semantic", "random"]


class FilterInvalid(Invalid):
    code = "GET_CONVERSATIONS_FILTER_PARSE_ERROR"


class SortInvalid(Invalid):
    code = "GET_CONVERSATIONS_INVALID_SORT_PARAMETER"


def criteria_of(query: Mapping[str, Any], *, is_redacted: bool) -> Criteria:
    """What the filters of the agent's list ask for. `is_redacted`: of whoever may not see personal data."""
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
        text=text_of(query.get("query"), query.get("queryType"), query.get("turnType"), is_redacted=is_redacted),
    )


def text_of(query: str | None, kind: str | None, side: Any, *, is_redacted: bool) -> Text | None:
    """Without the right to see personal data, only what is left without it is searched: a hit would tell."""
    if kind != "transcript" or not query:
        return None
    return Text(phrases=words.phrases(query), role=side, is_redacted=is_redacted)


def order_of(sort: str) -> Order:
    if sort not in SORTS:
        raise SortInvalid(f"sort is {sort[:40]!r}; it should be one of {', '.join(SORTS)}.")
    return SORTS[sort]


def mode_of(query: Mapping[str, Any]) -> Mode:
    """Raises FilterInvalid for what contradicts itself."""
    kind = query.get("query_type") or query.get("queryType")
    sample, text, side = query.get("sample"), query.get("query"), query.get("turn_type") or query.get("turnType")
    if sample is not None and (kind is not None or text is not None):
        raise FilterInvalid("sample is given together with a query; give one of them.")
    if kind is None and text is not None:
        raise FilterInvalid("query needs query_type: transcript for words, semantic for meaning.")
    if kind is not None and not (text or "").strip():
        raise FilterInvalid("query_type needs query, the words to look for.")
    if side is not None and kind != "transcript":
        raise FilterInvalid("turn_type goes with query_type transcript only.")
    if text is not None and len(text) > MAX_QUERY:
        raise FilterInvalid(f"query has {len(text):,} characters; at most {MAX_QUERY:,} are taken.")
    if kind == "transcript" and not words.phrases(text or ""):
        raise FilterInvalid("query has no word in it; letters or digits are looked for.")
    mode: Mode = "random" if sample is not None else kind or "list"
    return mode


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

SEARCH = (
    Query(
        name="queryType",
        type="string",
        choices=("transcript", "semantic"),
        description="Look for words said, or for a meaning.",
    ),
    Query(name="query", type="string", description="What to look for; words in quotation marks stand together."),
    Query(name="turnType", type="string", choices=("user", "agent"), description="Words of one side only."),
)
