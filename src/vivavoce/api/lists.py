"""Lists of conversations: the agent's, and versions 1 and 3 with whole transcripts. One reading of filters for all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from vivavoce.api import hiding
from vivavoce.api.route import Answer, Call, Query, Route
from vivavoce.domain.record import Criteria, Listed, Order, Page, Position
from vivavoce.errors import Invalid
from vivavoce.wire import cursor
from vivavoce.wire.chat import encode
from vivavoce.wire.conversations import LABELS, family

DEFAULT_LIMIT = 50
MAX_LIMIT = 5_000
V3_DEFAULT_LIMIT = 1_000
V1_DEFAULT_LIMIT = 5
NDJSON = "application/x-ndjson"
ENVIRONMENTS = ("sandbox", "pre-release", "live", "draft")
COUNT_HEADER = "X-Vivavoce-Count"
SORTS = {
    "startedAt": Order(by="started_at", is_descending=False),
    "-startedAt": Order(by="started_at"),
    "duration": Order(by="duration", is_descending=False),
    "-duration": Order(by="duration"),
    "polyScore": Order(by="score", is_descending=False),
    "-polyScore": Order(by="score"),
}
OLDEST_FIRST = SORTS["startedAt"]


class FilterInvalid(Invalid):
    code = "GET_CONVERSATIONS_FILTER_PARSE_ERROR"


class SortInvalid(Invalid):
    code = "GET_CONVERSATIONS_INVALID_SORT_PARAMETER"


class Asked:
    """What a list is asked for, whichever of them it is."""

    def __init__(self, call: Call, criteria: Criteria, order: Order, *, account_id: str | None = None) -> None:
        query = call.query
        if criteria.since and criteria.until and criteria.since > criteria.until:
            raise FilterInvalid("The start time is after the end time.")
        self.call, self.criteria, self.order, self.account_id = call, criteria, order, account_id
        self.limit: int = query["limit"]
        self.offset: int = query["offset"]
        self.after: Position | None = None
        if query.get("cursor") is not None:
            try:
                self.after = cursor.decode(query["cursor"], criteria, order)
            except cursor.CursorInvalid as error:
                raise FilterInvalid(str(error)) from None
            self.offset = 0  # the cursor goes first

    @property
    def has_lines(self) -> bool:
        return NDJSON in self.call.request.headers.get("accept", "")

    @property
    def agent_id(self) -> str:
        parameters = self.call.request.path_params
        return str(parameters.get("agentId") or parameters["project_id"])

    async def pages(self) -> AsyncIterator[Page]:
        """In blocks. As lines, and without a limit of the caller's own, it is everything."""
        is_all = self.has_lines and "limit" not in self.call.request.query_params
        async for page in self.call.services.conversations.stream(
            self.call.principal,
            self.agent_id,
            self.criteria,
            self.order,
            limit=None if is_all else self.limit,
            offset=self.offset,
            after=self.after,
            account_id=self.account_id,
        ):
            yield page

    def cursor(self, page: Page) -> str | None:
        return cursor.encode(page.next, self.criteria, self.order) if page.next is not None else None


Rendered = Callable[[Sequence[Listed]], "AsyncIterator[dict[str, Any]]"]


# The agent's list.


async def list_conversations(call: Call) -> Answer:
    query = call.query
    criteria = Criteria(
        since=query["startTime"],
        until=query["endTime"],
        environments=query["clientEnv"],
        channels=_channels(query["channel"]),
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
    )
    if query["sort"] not in SORTS:
        raise SortInvalid(f"sort is {query['sort'][:40]!r}; it should be one of {', '.join(SORTS)}.")
    asked = Asked(call, criteria, SORTS[query["sort"]])
    if asked.has_lines:
        return await _lines(asked, partial(_summaries, call))
    page = await call.services.conversations.page(
        call.principal, asked.agent_id, criteria, asked.order, limit=asked.limit, offset=asked.offset, after=asked.after
    )
    count = await call.services.conversations.count(call.principal, asked.agent_id, criteria)
    body = {
        "conversations": [item async for item in _summaries(call, page.items)],
        "count": count.number,
        "limit": asked.limit,
        "offset": asked.offset,
        "cursor": asked.cursor(page),
    }
    return Answer(body=encode(body), headers={COUNT_HEADER: "exact" if count.is_exact else "at-least"})


async def _summaries(call: Call, listed: Sequence[Listed]) -> AsyncIterator[dict[str, Any]]:
    for item in listed:
        yield hiding.summary_of(item, call.principal)


# Versions 3 and 1.


async def list_v3(call: Call) -> Answer:
    asked = _asked_by_account(call)
    if asked.has_lines:
        return await _lines(asked, partial(_whole, call))
    return await _object(asked, partial(_whole, call), asked.cursor)


async def list_v1(call: Call) -> Answer:
    asked = _asked_by_account(call)
    return await _object(asked, partial(_whole, call), None)


async def get_v3(call: Call) -> Answer:
    parameters = call.request.path_params
    listed = await call.services.conversations.one(
        call.principal, parameters["project_id"], parameters["conversation_id"], account_id=parameters["account_id"]
    )
    return Answer(body=encode(await anext(_whole(call, [listed]))))


def _asked_by_account(call: Call) -> Asked:
    query = call.query
    if query["variant_id"] is not None and query["variant_name"] is not None:
        raise FilterInvalid("Give variant_id or variant_name, not both.")
    variant = query["variant_id"] if query["variant_id"] is not None else query["variant_name"]
    criteria = Criteria(
        since=query["start_time"],
        until=query["end_time"],
        environments=(query["client_env"],),
        channels=_channels(query.get("channel", ())),
        variants=(variant,) if variant is not None else (),
        in_progress=query["in_progress"],
    )
    return Asked(call, criteria, OLDEST_FIRST, account_id=call.request.path_params["account_id"])


async def _whole(call: Call, listed: Sequence[Listed]) -> AsyncIterator[dict[str, Any]]:
    has_latency = bool(call.query.get("include_latency"))
    transcripts = await call.services.conversations.transcripts(call.principal, listed)
    for item, transcript in zip(listed, transcripts, strict=True):
        yield hiding.transcript_of(item, transcript, call.principal, has_latency=has_latency)


# Bodies that are sent as they are made.


async def _lines(asked: Asked, render: Rendered) -> Answer:
    """One conversation a line; where a limit cuts, a last line holds the cursor."""
    pages = asked.pages()
    first = await anext(pages)  # what is refused is refused before anything is sent

    async def lines() -> AsyncIterator[bytes]:
        last = first
        yield b"".join([encode(item) + b"\n" async for item in render(first.items)])
        async for page in pages:
            last = page
            yield b"".join([encode(item) + b"\n" async for item in render(page.items)])
        if last.next is not None:
            yield encode({"cursor": asked.cursor(last)}) + b"\n"

    return Answer(stream=lines(), media_type=NDJSON)


async def _object(asked: Asked, render: Rendered, next_cursor: Callable[[Page], str | None] | None) -> Answer:
    """`{"conversations": [...], ...}`, in pieces."""
    pages = asked.pages()
    first = await anext(pages)

    async def pieces() -> AsyncIterator[bytes]:
        page, count = first, 0
        yield b'{"conversations":['
        while True:
            items = [encode(item) async for item in render(page.items)]
            if items:
                yield (b"," if count else b"") + b",".join(items)
            count += len(items)
            following = await anext(pages, None)
            if following is None:
                break
            page = following
        rest: dict[str, Any] = {} if next_cursor is not None else {"descriptions": {}}
        if page.next is not None and asked.after is None:
            rest["next_offset"] = asked.offset + count
        if next_cursor is not None:
            rest["cursor"] = next_cursor(page)
        yield b"]," + encode(rest)[1:] if rest else b"]}"

    return Answer(stream=pieces())


# Values.


def _channels(labels: Sequence[str]) -> tuple[str, ...]:
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


def _limit(default: int) -> Query:
    return Query(
        name="limit", type="integer", default=default, minimum=1, maximum=MAX_LIMIT, description="How many to return."
    )


_OFFSET = Query(name="offset", type="integer", default=0, minimum=0, description="How many to leave out first.")
_CURSOR = Query(name="cursor", type="string", description="Where to go on, from the page before; goes before offset.")


def _filter(name: str, description: str) -> Query:
    return Query(name=name, type="list", description=f"{description} May be given again for others.")


_AGENT_QUERY = (
    _limit(DEFAULT_LIMIT),
    _OFFSET,
    _CURSOR,
    Query(name="sort", type="string", default="-startedAt", description=f"One of {', '.join(SORTS)}."),
    Query(name="startTime", type="time", description="Begun at this time or later."),
    Query(name="endTime", type="time", description="Begun before this time."),
    Query(name="clientEnv", type="list", choices=ENVIRONMENTS, description="Run in this environment."),
    _filter("channel", "Held on this channel: VOICE-SIP, WEBCHAT, CHAT, SMS, RCS or WHATSAPP."),
    _filter("variantId", "Begun as this variant."),
    _filter("deploymentId", "Begun on this deployment."),
    _filter("language", "In this language."),
    Query(name="direction", type="list", choices=("inbound", "outbound"), description="Who began it."),
    _filter("testGroup", "In this group of an A/B test."),
    Query(name="handoff", type="boolean", description="Handed off, or not."),
    _filter("handoffDestination", "Handed off to this destination."),
    _filter("tag", "With this tag."),
    _filter("annotation", "With an annotation of this type; any is any."),
    _filter("function", "In which this function ran."),
    _filter("metric", "With this metric: NAME, or NAME:VALUE. Needs the right to see personal data."),
    _filter("contact", "From or to this number or address. Needs the right to see personal data."),
    Query(name="inProgress", type="boolean", description="Still going on, or ended."),
    Query(name="minScore", type="integer", minimum=1, maximum=5, description="Scored so much or more."),
    Query(name="maxScore", type="integer", minimum=1, maximum=5, description="Scored so much or less."),
    Query(name="minDuration", type="integer", minimum=0, description="Ended after so many seconds or more."),
    Query(name="maxDuration", type="integer", minimum=0, description="Ended after so many seconds or fewer."),
)
_V1_QUERY = (
    Query(
        name="client_env", type="string", default="live", choices=ENVIRONMENTS, description="Run in this environment."
    ),
    Query(name="start_time", type="time", description="Begun at this time or later."),
    Query(name="end_time", type="time", description="Begun before this time."),
    _limit(V1_DEFAULT_LIMIT),
    _OFFSET,
    Query(name="variant_id", type="string", description="Begun as this variant."),
    Query(name="variant_name", type="string", description="The same; give one of them."),
    Query(name="in_progress", type="boolean", description="Still going on, or ended."),
)
_V3_QUERY = (
    _filter("channel", "Held on this channel."),
    *(q for q in _V1_QUERY if q.name != "limit"),
    _limit(V3_DEFAULT_LIMIT),
    _CURSOR,
    Query(name="include_latency", type="boolean", default=False, description="With the latency of each turn."),
)

ROUTES = (
    Route(
        method="GET",
        path="/v1/agents/{agentId}/conversations",
        handler=list_conversations,
        summary="Conversations, newest first; filtered, sorted, page by page or as lines.",
        permission="read",
        query=_AGENT_QUERY,
        query_error=FilterInvalid,
        response="GetConversationsResponse",
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET",
        path="/v3/{account_id}/{project_id}/conversations",
        handler=list_v3,
        summary="Conversations with their transcripts, oldest first.",
        permission="read",
        query=_V3_QUERY,
        query_error=FilterInvalid,
        response="GetConversationsV3Response",
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET",
        path="/v3/{account_id}/{project_id}/conversations/{conversation_id}",
        handler=get_v3,
        summary="One conversation with its transcript.",
        permission="read",
        query=(
            Query(name="include_latency", type="boolean", default=False, description="With the latency of each turn."),
        ),
        response="ConversationV3",
        errors=(401, 403, 404),
    ),
    Route(
        method="GET",
        path="/v1/{account_id}/{project_id}/conversations",
        handler=list_v1,
        summary="The same by offset only, for older clients.",
        permission="read",
        query=_V1_QUERY,
        query_error=FilterInvalid,
        response="GetConversationsV1Response",
        errors=(400, 401, 403, 404),
    ),
)
