"""The list of an agent's conversations: filters and searches that stand in the address, columns, saved views, export, what goes on now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse

from vivavoce.console import page, showing
from vivavoce.console.visit import Page, Visit
from vivavoce.domain import words
from vivavoce.domain.record import Count, Criteria, ExportFormat, Listed, Order, Position
from vivavoce.domain.record import Page as Found
from vivavoce.errors import Forbidden, Invalid
from vivavoce.service import exporting, hiding
from vivavoce.service.redaction import sees_personal
from vivavoce.wire import cursor, query
from vivavoce.wire.conversations import LABELS
from vivavoce.wire.filters import AGENT_FILTERS, SEARCH, FilterInvalid, criteria_of, mode_of, order_of
from vivavoce.wire.query import Query

PATH = "/console/agents/{agentId}/conversations"
ROWS = 50
MOST_LIVE = 20  # that are shown as going on
SCOPES = {"voice": ("VOICE-SIP",), "messaging": tuple(label for label in LABELS.values() if label != "VOICE-SIP")}
COLUMNS = {
    "contact": "Contact",
    "summary": "Summary",
    "duration": "Duration",
    "score": "Score",
    "language": "Language",
    "channel": "Channel",
    "environment": "Environment",
    "variant": "Variant",
    "handoff": "Handoff to",
    "reviewed": "Review",
    "tags": "Tags",
    "group": "A/B group",
    "direction": "Direction",
    "end": "Ended by",
    "deployment": "Deployment",
    "id": "Conversation",
}
DEFAULT_COLUMNS = ("contact", "summary", "duration", "score", "channel", "environment", "handoff", "reviewed")
SORTED = {"startedAt": "Started", "duration": "Duration", "score": "Score"}
SORT_KEYS = {"duration": "duration", "score": "polyScore"}
METRIC = "metric:"  # a column may be a metric by its name
SYSTEM_VIEWS = {
    "All": "",
    "Production": "clientEnv=live",
    "Test": "clientEnv=sandbox&clientEnv=draft&clientEnv=pre-release",
}
# How a filter is called on the page; the names in the address are those of the API.
FILTER_NAMES = {
    "startTime": "From", "endTime": "Until", "clientEnv": "Environment", "channel": "Channel", "variantId": "Variant",
    "deploymentId": "Deployment", "language": "Language", "direction": "Direction", "testGroup": "A/B group", "handoff": "Handed off",
    "handoffDestination": "Handed off to", "tag": "Tag", "annotation": "Annotation", "function": "Function", "metric": "Metric",
    "contact": "Contact", "inProgress": "In progress", "minScore": "Score from", "maxScore": "Score to", "minDuration": "Seconds from",
    "maxDuration": "Seconds to", "query": "Search",
}  # fmt: skip
_FILTERS = (*AGENT_FILTERS, *SEARCH)
_QUERY = (
    *_FILTERS,
    Query(name="sort", type="string", default="-startedAt"),
    Query(name="cursor", type="string"),
    Query(name="columns", type="list"),
    Query(name="scope", type="string", choices=tuple(SCOPES)),
)


class Asked(Struct, frozen=True, kw_only=True):
    """What the address asks for. `pairs` is the address without its place in the list."""

    pairs: tuple[tuple[str, str], ...]
    values: dict[str, Any]
    criteria: Criteria
    order: Order
    mode: str
    after: Position | None

    @property
    def columns(self) -> tuple[str, ...]:
        chosen = tuple(c for c in self.values["columns"] if c in COLUMNS or c.startswith(METRIC))
        return chosen or DEFAULT_COLUMNS

    @property
    def about(self) -> str:
        return f"console\0{self.mode}\0{self.values['query'] if self.mode == 'semantic' else ''}"


def given(visit: Visit) -> tuple[tuple[str, str], ...]:
    """What the address says, without fields of the form that say nothing."""
    pairs = [(name, text) for name, text in visit.request.query_params.multi_items() if text.strip()]
    said = dict(pairs)
    idle = set() if "query" in said else {"queryType", "turnType"}
    if said.get("queryType") == "semantic":
        idle.add("turnType")  # a meaning has no side
    return tuple(pair for pair in pairs if pair[0] not in idle)


def asked(visit: Visit) -> Asked:
    pairs = given(visit)
    values = query.read(_QUERY, QueryParams([p for p in pairs if p[0] != "format"]), FilterInvalid)
    mode = mode_of(values)
    wanted = {**values, "channel": values["channel"] or SCOPES.get(values["scope"] or "", ())}
    criteria = criteria_of(wanted, is_redacted=not sees_personal(visit.principal))
    found = Asked(
        pairs=tuple(p for p in pairs if p[0] != "cursor"),
        values=values,
        criteria=criteria,
        order=order_of(values["sort"]),
        mode=mode,
        after=None,
    )
    if values["cursor"] is None:
        return found
    try:
        after = cursor.decode(values["cursor"], criteria, found.order, found.about)
    except cursor.CursorInvalid as error:
        raise FilterInvalid(str(error)) from None
    return Asked(pairs=found.pairs, values=values, criteria=criteria, order=found.order, mode=mode, after=after)


async def show(visit: Visit) -> Response:
    """The whole page, or, for its script, the table alone."""
    agent_id, services, principal = visit.agent_id, visit.services, visit.principal
    problem, wanted, found, count = "", None, Found(items=[]), Count(number=0)
    try:
        wanted = asked(visit)
        found = await _found(visit, wanted)
        count = await services.conversations.count(principal, agent_id, wanted.criteria)
    except (Invalid, Forbidden) as error:  # a filter that cannot be is told above the list, where it can be mended
        await services.deployments.account_of(principal, agent_id)
        problem = error.message
    pairs = tuple(pair for pair in given(visit) if pair[0] != "cursor")
    next_page = None
    if wanted is not None and found.next is not None:
        place = cursor.encode(found.next, wanted.criteria, wanted.order, wanted.about)
        next_page = showing.query([*pairs, ("cursor", place)])
    values: dict[str, Any] = {
        "base": PATH.replace("{agentId}", showing.segment(agent_id)),
        "problem": problem,
        "rows": await rows(visit, found.items, wanted) if wanted is not None else [],
        "columns": {c: COLUMNS.get(c, c.removeprefix(METRIC)) for c in (wanted.columns if wanted else DEFAULT_COLUMNS)},
        "sorts": _sorts(wanted),
        "next_page": next_page,
        "is_first": wanted is None or wanted.after is None,
        "pairs": pairs,
        "address": showing.query(pairs),
        "count": count,
        "phrases": _phrases(wanted),
    }
    if visit.is_fragment:
        return page.render(visit, "conversations_table.html", agent_id=agent_id, **values)
    live = await services.conversations.going_on(principal, agent_id, limit=MOST_LIVE)
    assert live is not None
    return await page.show(
        visit,
        "conversations.html",
        "conversations",
        agent_id=agent_id,
        **values,
        live=await rows(visit, live.items),
        has_more_live=live.has_more,
        state=live.state,
        chips=_chips(pairs),
        given=dict(reversed(pairs)),
        every_column=COLUMNS,
        shown_columns=tuple(values["columns"]),
        views=await services.views.list(principal, agent_id),
        system_views=SYSTEM_VIEWS,
        scopes=tuple(SCOPES),
        labels=tuple(LABELS.values()),
    )


async def live(visit: Visit) -> Response:
    """What goes on now: asked again and again, answered only when something has changed."""
    known = visit.request.query_params.get("state", "")
    found = await visit.services.conversations.going_on(visit.principal, visit.agent_id, limit=MOST_LIVE, known=known)
    if found is None:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    return page.render(
        visit,
        "conversations_live.html",
        headers={"HX-Trigger": "conversations-changed"},
        agent_id=visit.agent_id,
        base=PATH.replace("{agentId}", showing.segment(visit.agent_id)),
        live=await rows(visit, found.items),
        has_more_live=found.has_more,
        state=found.state,
    )


async def export(visit: Visit) -> Response:
    """The current view as a file."""
    kind = visit.request.query_params.get("format", "csv")
    format: ExportFormat | None = next((k for k in exporting.MEDIA_TYPES if k == kind), None)
    if format is None:
        raise Invalid(f"format is {kind[:20]!r}; it should be one of {', '.join(exporting.MEDIA_TYPES)}.")
    _, stream = await exporting.begun(
        visit.services.exports, visit.services.finders, visit.principal, visit.agent_id, format, asked(visit).criteria
    )
    ending = {"vcon": "vcon.jsonl"}.get(format, format)
    name = f'attachment; filename="conversations.{ending}"'
    headers = {"Content-Disposition": name, "Cache-Control": "no-store", **page.HEADERS}
    return StreamingResponse(stream, headers=headers, media_type=exporting.MEDIA_TYPES[format])


async def save_view(visit: Visit) -> Response:
    pairs = parse_qsl(visit.field("query").removeprefix("?"), max_num_fields=200)
    view = await visit.services.views.save(visit.principal, visit.agent_id, visit.field("name"), showing.query(pairs))
    return page.redirect(f"{PATH.replace('{agentId}', showing.segment(visit.agent_id))}?{view.query}")


async def remove_view(visit: Visit) -> Response:
    await visit.services.views.remove(visit.principal, visit.agent_id, visit.field("name"))
    return page.redirect(PATH.replace("{agentId}", showing.segment(visit.agent_id)))


async def _found(visit: Visit, wanted: Asked) -> Found:
    service, who = visit.services.conversations, (visit.principal, visit.agent_id, wanted.criteria)
    if wanted.mode == "semantic":
        offset = wanted.after.value if wanted.after is not None else 0
        return await service.alike(*who, wanted.values["query"], limit=ROWS, offset=offset)
    return await service.page(*who, wanted.order, limit=ROWS, after=wanted.after)


async def rows(visit: Visit, listed: Sequence[Listed], wanted: Asked | None = None) -> list[dict[str, Any]]:
    """What the visitor may see of each, with the places of a search and the metrics that are columns."""
    principal, agent_id = visit.principal, visit.agent_id
    finder = await visit.services.finders.of(principal, agent_id)
    phrases = _phrases(wanted)
    metrics = [c.removeprefix(METRIC) for c in wanted.columns if c.startswith(METRIC)] if wanted is not None else []
    transcripts = (
        await visit.services.conversations.transcripts(principal, listed)
        if phrases or metrics
        else [None] * len(listed)
    )
    found = []
    for item, transcript in zip(listed, transcripts, strict=True):
        body = hiding.summary_of(item, principal, finder)
        body["annotations"] = len(item.review.annotations)
        body["turnCount"] = item.conversation.turns
        body["matches"], body["metrics"] = [], {}
        if transcript is not None and phrases:
            side = wanted.values["turnType"] if wanted is not None else None
            body["matches"] = hiding.matches_in(transcript, item, phrases, principal, finder, side)
        if transcript is not None and metrics and sees_personal(principal):
            written = [*(m for turn in transcript.turns for m in turn.metrics), *transcript.closing_metrics]
            body["metrics"] = {
                name: ", ".join(dict.fromkeys(m.text for m in written if m.name == name)) for name in metrics
            }
        found.append(body)
    return found


def _phrases(wanted: Asked | None) -> tuple[tuple[str, ...], ...]:
    return words.phrases(wanted.values["query"]) if wanted is not None and wanted.mode == "transcript" else ()


def _chips(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """(name, value, the address without it) of each filter."""
    found = []
    for n, (name, text) in enumerate(pairs):
        if name in FILTER_NAMES:
            rest = [
                p for m, p in enumerate(pairs) if m != n and not (name == "query" and p[0] in ("queryType", "turnType"))
            ]
            shown = {"true": "yes", "false": "no"}.get(text, text)
            found.append((FILTER_NAMES[name], shown, showing.query(rest)))
    return found


def _sorts(wanted: Asked | None) -> dict[str, tuple[str, str]]:
    """column -> (the address that sorts by it, how it is sorted by it now)."""
    pairs = [p for p in (wanted.pairs if wanted is not None else ()) if p[0] != "sort"]
    current = wanted.values["sort"] if wanted is not None else ""
    found = {}
    for column, key in (("startedAt", "startedAt"), *SORT_KEYS.items()):
        next_sort = key if current == f"-{key}" else f"-{key}"
        state = "descending" if current == f"-{key}" else "ascending" if current == key else "none"
        found[column] = (showing.query([*pairs, ("sort", next_sort)]), state)
    return found


PAGES = (
    Page(method="GET", path=PATH, handler=show, permission="read"),
    Page(method="GET", path="/console/agents/{agentId}/live", handler=live, permission="read"),
    Page(method="GET", path="/console/agents/{agentId}/export", handler=export, permission="read"),
    Page(method="POST", path="/console/agents/{agentId}/views", handler=save_view, permission="read"),
    Page(method="POST", path="/console/agents/{agentId}/views/remove", handler=remove_view, permission="read"),
)
