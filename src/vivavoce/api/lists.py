"""Lists of conversations: the agent's, and versions 1 and 3 with whole transcripts. One reading of filters for all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from vivavoce.api.route import Answer, Call, Route
from vivavoce.domain import words
from vivavoce.domain.record import Criteria, Listed, Order, Page, Position
from vivavoce.redaction.finder import Finder
from vivavoce.service import hiding
from vivavoce.service.concurrency import SLICES
from vivavoce.service.redaction import sees_personal
from vivavoce.wire import cursor
from vivavoce.wire.chat import encode
from vivavoce.wire.conversations import GetConversationsResponse
from vivavoce.wire.conversations_v3 import (
    ConcurrencyResponse,
    ConversationV3,
    GetConversationsV1Response,
    GetConversationsV3Response,
)
from vivavoce.wire.filters import (
    AGENT_FILTERS,
    ENVIRONMENTS,
    SEARCH,
    SORTS,
    FilterInvalid,
    channels_of,
    criteria_of,
    filter_of,
    mode_of,
    order_of,
    text_of,
)
from vivavoce.wire.query import Query
from vivavoce.wire.times import iso

DEFAULT_LIMIT = 50
MAX_LIMIT = 5_000
V3_DEFAULT_LIMIT = 1_000
V1_DEFAULT_LIMIT = 5
NDJSON = "application/x-ndjson"
COUNT_HEADER = "X-Vivavoce-Count"
OLDEST_FIRST = SORTS["startedAt"]


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
        self.mode = mode_of(query)
        if query.get("cursor") is not None:
            try:
                self.after = cursor.decode(query["cursor"], criteria, order, self._about)
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
        if self.mode in ("random", "semantic"):
            yield await self.page()
            return
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

    async def page(self) -> Page:
        service, who = self.call.services.conversations, (self.call.principal, self.agent_id, self.criteria)
        match self.mode:
            case "random":
                return await service.sample(*who, limit=self.limit, account_id=self.account_id)
            case "semantic":
                offset = self.after.value if self.after is not None else self.offset
                query = self.call.query["query"]
                return await service.alike(*who, query, limit=self.limit, offset=offset, account_id=self.account_id)
            case _:
                return await service.page(
                    *who, self.order, limit=self.limit, offset=self.offset, after=self.after, account_id=self.account_id
                )

    @property
    def _about(self) -> str:
        query = self.call.query.get("query") if self.mode == "semantic" else None
        return "\0".join((self.mode, self.account_id or "", self.agent_id, query or ""))

    def cursor(self, page: Page) -> str | None:
        return cursor.encode(page.next, self.criteria, self.order, self._about) if page.next is not None else None


async def _finder(call: Call) -> Finder:
    parameters = call.request.path_params
    return await call.services.finders.of(call.principal, str(parameters.get("agentId") or parameters["project_id"]))


Rendered = Callable[[Sequence[Listed]], "AsyncIterator[dict[str, Any]]"]


# The agent's list.


async def list_conversations(call: Call) -> Answer:
    criteria = criteria_of(call.query, is_redacted=not sees_personal(call.principal))
    asked = Asked(call, criteria, order_of(call.query["sort"]))
    if asked.has_lines:
        return await _lines(asked, partial(_summaries, call))
    page = await asked.page()
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
    phrases = words.phrases(call.query["query"] or "") if call.query["queryType"] == "transcript" else ()
    transcripts = await call.services.conversations.transcripts(call.principal, listed) if phrases else []
    finder = await _finder(call)
    for n, item in enumerate(listed):
        body = hiding.summary_of(item, call.principal, finder)
        if phrases:
            body["matches"] = hiding.matches_in(
                transcripts[n], item, phrases, call.principal, finder, call.query["turnType"]
            )
        yield body


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
        channels=channels_of(query.get("channel", ())),
        variants=(variant,) if variant is not None else (),
        in_progress=query["in_progress"],
        text=text_of(
            query.get("query"),
            query.get("query_type"),
            query.get("turn_type"),
            is_redacted=not sees_personal(call.principal),
        ),
    )
    is_search = query.get("query_type") is not None or query.get("sample") is not None
    if is_search and (criteria.since is None or criteria.until is None):
        raise FilterInvalid("With query_type or sample, start_time and end_time must both be given.")
    return Asked(call, criteria, OLDEST_FIRST, account_id=call.request.path_params["account_id"])


async def _whole(call: Call, listed: Sequence[Listed]) -> AsyncIterator[dict[str, Any]]:
    has_latency = bool(call.query.get("include_latency"))
    finder = await _finder(call)
    transcripts = await call.services.conversations.transcripts(call.principal, listed)
    for item, transcript in zip(listed, transcripts, strict=True):
        if sees_personal(call.principal):
            yield hiding.transcript_of(item, transcript, call.principal, finder, has_latency=has_latency)
        else:
            yield await hiding.apart(
                hiding.transcript_of, item, transcript, call.principal, finder, has_latency=has_latency
            )


async def concurrency(call: Call) -> Answer:
    query, parameters = call.query, call.request.path_params
    if query["start_time"] is None or query["end_time"] is None:
        raise FilterInvalid("start_time and end_time must both be given.")
    variants = tuple(v for v in (query["variant_id"], query["variant_name"]) if v is not None)
    criteria = Criteria(
        since=query["start_time"],
        until=query["end_time"],
        environments=(query["client_env"],),
        variants=variants[:1],
        languages=(query["language"],) if query["language"] else (),
        contacts=(query["phone_number"],) if query["phone_number"] else (),
    )
    wanted = [name.strip() for name in (query["slice_by"] or "").split(",") if name.strip()]
    slices = tuple(name for name in SLICES if name in wanted)
    if len(slices) != len(set(wanted)):
        raise FilterInvalid(f"slice_by should be one or more of {', '.join(SLICES)}, with commas between them.")
    account_id, agent_id = parameters["account_id"], parameters["project_id"]
    found = await call.services.concurrency.intervals(call.principal, account_id, agent_id, criteria, slices)
    intervals = [{"time": iso(b.time), "max_concurrent_conversations": b.most, **b.values} for b in found]
    return Answer(body=encode({"account_id": account_id, "project_id": agent_id, "intervals": intervals}))


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
        rest: dict[str, Any] = {} if next_cursor is not None else {"descriptions": {"conversations": {}}}
        if page.next is not None and asked.after is None:
            rest["next_offset"] = asked.offset + count
        if next_cursor is not None:
            rest["cursor"] = next_cursor(page)
        yield b"]," + encode(rest)[1:] if rest else b"]}"

    return Answer(stream=pieces())


# Values.


def _limit(default: int) -> Query:
    return Query(
        name="limit", type="integer", default=default, minimum=1, maximum=MAX_LIMIT, description="How many to return."
    )


_OFFSET = Query(name="offset", type="integer", default=0, minimum=0, description="How many to leave out first.")
_CURSOR = Query(name="cursor", type="string", description="Where to go on, from the page before; goes before offset.")


_AGENT_QUERY = (
    _limit(DEFAULT_LIMIT),
    _OFFSET,
    _CURSOR,
    Query(name="sort", type="string", default="-startedAt", description=f"One of {', '.join(SORTS)}."),
    *SEARCH,
    Query(name="sample", type="string", choices=("random",), description="So many at random."),
    *AGENT_FILTERS,
)
_QUERY = Query(name="query", type="string", description="What to look for; words in quotation marks stand together.")
_KINDS = ("transcript", "semantic")
_SIDES = ("user", "agent")
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
    Query(name="query_type", type="string", choices=_KINDS, description="Look for words said, or for a meaning."),
    _QUERY,
    Query(name="turn_type", type="string", choices=_SIDES, description="Words of one side only."),
    Query(name="sample", type="string", choices=("random",), description="So many at random."),
    filter_of("channel", "Held on this channel."),
    *(q for q in _V1_QUERY if q.name != "limit"),
    _limit(V3_DEFAULT_LIMIT),
    _CURSOR,
    Query(name="include_latency", type="boolean", default=False, description="With the latency of each turn."),
)

_CONCURRENCY_QUERY = (
    Query(name="start_time", type="time", is_required=True, description="From this time on."),
    Query(name="end_time", type="time", is_required=True, description="Up to this time, at most 31 days later."),
    _V1_QUERY[0],
    Query(name="variant_name", type="string", description="Of this variant."),
    Query(name="variant_id", type="string", description="The same."),
    Query(name="language", type="string", description="In this language."),
    Query(
        name="phone_number", type="string", description="From or to this number. Needs the right to see personal data."
    ),
    Query(
        name="slice_by", type="string", description=f"Apart by {', '.join(SLICES)}; several with commas between them."
    ),
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
        response=GetConversationsResponse,
        other_media_types=(NDJSON,),
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
        response=GetConversationsV3Response,
        other_media_types=(NDJSON,),
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
        response=ConversationV3,
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET",
        path="/v1/{account_id}/{project_id}/conversations/concurrency",
        handler=concurrency,
        summary="How many conversations went on at once, at most, in each five minutes.",
        permission="read",
        query=_CONCURRENCY_QUERY,
        query_error=FilterInvalid,
        response=ConcurrencyResponse,
        errors=(400, 401, 403, 404),
    ),
    Route(
        method="GET",
        path="/v1/{account_id}/{project_id}/conversations",
        handler=list_v1,
        summary="The same by offset only, for older clients.",
        permission="read",
        query=_V1_QUERY,
        query_error=FilterInvalid,
        response=GetConversationsV1Response,
        errors=(400, 401, 403, 404),
    ),
)
