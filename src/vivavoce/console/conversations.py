"""The list of an agent's conversations: filters and searches that stand in the address, columns, saved views, export, what goes on now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args
from urllib.parse import parse_qsl

from msgspec import Struct
from msgspec.structs import replace
from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse

from vivavoce.console import page, showing
from vivavoce.console.visit import Page, Visit
from vivavoce.domain import words
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import AnnotationType, Criteria, ExportFormat, Listed, Order, Position, Transcript
from vivavoce.domain.record import Page as Found
from vivavoce.errors import Forbidden, Invalid
from vivavoce.redaction.finder import Finder
from vivavoce.service import exporting, hiding
from vivavoce.service.conversations import GoingOn
from vivavoce.service.redaction import sees_personal
from vivavoce.wire import cursor, query
from vivavoce.wire.conversations import LABELS
from vivavoce.wire.filters import AGENT_FILTERS, ENVIRONMENTS, SEARCH, FilterInvalid, criteria_of, mode_of, order_of
from vivavoce.wire.query import Query

PATH = "/console/agents/{agentId}/conversations"
ROWS = 50
MOST_PAIRS = 200  # of a saved view
MOST_CHIPS = 50
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
SORT_KEYS = {"duration": "duration", "score": "polyScore"}
METRIC = "metric:"  # a column may be a metric by its name
SYSTEM_VIEWS = {
    "All": "",
    "Production": "clientEnv=live",
    "Test": "clientEnv=sandbox&clientEnv=draft&clientEnv=pre-release",
}
TELLING = 4  # characters; in a search by meaning shorter words stand in nearly everything that was said
# How a filter is called on the page; the names in the address are those of the API.
FILTER_NAMES = {
    "startTime": "From", "endTime": "Until", "clientEnv": "Environment", "channel": "Channel", "variantId": "Variant",
    "deploymentId": "Deployment", "language": "Language", "direction": "Direction", "testGroup": "A/B group", "handoff": "Handed off",
    "handoffDestination": "Handed off to", "tag": "Tag", "annotation": "Annotation", "function": "Function", "metric": "Metric",
    "contact": "Contact", "inProgress": "In progress", "minScore": "Score from", "maxScore": "Score to", "minDuration": "Seconds from",
    "maxDuration": "Seconds to", "query": "Search", "scope": "Scope",
}  # fmt: skip
# What a field of the form offers.
CHOICES = {
    "clientEnv": [(name, name) for name in ENVIRONMENTS],
    "annotation": [("any", "any"), *((name, name.replace("_", " ")) for name in get_args(AnnotationType))],
    "direction": [("inbound", "inbound"), ("outbound", "outbound")],
    "yes or no": [("true", "yes"), ("false", "no")],
    "turnType": [("user", "the user"), ("agent", "the agent")],
}
_QUERY = (
    *AGENT_FILTERS,
    *SEARCH,
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
    if "query" in said and "queryType" not in said:
        pairs.append(("queryType", "transcript"))
    idle = set() if "query" in said else {"queryType", "turnType"}
    if said.get("queryType") == "semantic":
        idle |= {"turnType", "sort"}  # a meaning has no side, and its own order
    if "channel" in said:
        idle.add("scope")  # which is a choice of channels
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
    return replace(found, after=after)


async def show(visit: Visit) -> Response:
    """The whole page, or, for its script, the table alone."""
    agent_id, services, principal = visit.agent_id, visit.services, visit.principal
    table = await _table(visit)
    if visit.is_fragment:
        return page.render(visit, "conversations_table.html", agent_id=agent_id, **table)
    going_on = await services.conversations.going_on(principal, agent_id, limit=MOST_LIVE)
    assert going_on is not None
    return await page.show(
        visit,
        "conversations.html",
        "conversations",
        agent_id=agent_id,
        **table,
        **await _live(visit, going_on),
        chips=_chips(table["pairs"]),
        given=dict(reversed(table["pairs"])),
        hidden=_hidden(table["pairs"]),
        every_column=COLUMNS,
        shown_columns=tuple(table["columns"]),
        views=await services.views.list(principal, agent_id),
        system_views=SYSTEM_VIEWS,
        scopes=tuple(SCOPES),
        labels=tuple(LABELS.values()),
        choices=CHOICES,
    )


async def _table(visit: Visit) -> dict[str, Any]:
    pairs = tuple(pair for pair in given(visit) if pair[0] != "cursor")
    values: dict[str, Any] = {
        "base": _base(visit), "problem": "", "rows": [], "columns": _columns(DEFAULT_COLUMNS), "sorts": {}, "next_page": None,
        "is_first": True, "pairs": pairs, "address": showing.query(pairs), "count": None, "phrases": (), "mode": "list",
    }  # fmt: skip
    try:
        wanted = asked(visit)
        found = await _found(visit, wanted)
    except (Invalid, Forbidden) as error:  # a filter that cannot be is told above the list, where it can be mended
        await visit.services.deployments.account_of(visit.principal, visit.agent_id)
        return {**values, "problem": error.message}
    if wanted.mode != "semantic":
        values["count"] = await visit.services.conversations.count(visit.principal, visit.agent_id, wanted.criteria)
        values["sorts"] = _sorts(wanted)
    if found.next is not None:
        place = cursor.encode(found.next, wanted.criteria, wanted.order, wanted.about)
        values["next_page"] = showing.query([*pairs, ("cursor", place)])
    return {
        **values,
        "rows": await rows(visit, found.items, wanted),
        "columns": _columns(wanted.columns),
        "is_first": wanted.after is None,
        "phrases": _phrases(wanted),
        "mode": wanted.mode,
    }


def _base(visit: Visit) -> str:
    return PATH.replace("{agentId}", showing.segment(visit.agent_id))


def _columns(names: Sequence[str]) -> dict[str, str]:
    return {name: COLUMNS.get(name, name.removeprefix(METRIC)) for name in names}


async def _live(visit: Visit, found: GoingOn) -> dict[str, Any]:
    return {
        "live": await rows(visit, found.items),
        "has_more_live": found.has_more,
        "state": found.state,
        "members": found.members,
    }


async def live(visit: Visit) -> Response:
    """What goes on now: asked again and again, answered only when something has changed."""
    known = visit.request.query_params
    found = await visit.services.conversations.going_on(
        visit.principal, visit.agent_id, limit=MOST_LIVE, known=known.get("state", "")
    )
    if found is None:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    # The list below is asked for anew when one has begun or ended, not with every turn.
    headers = {"HX-Trigger": "conversations-changed"} if known.get("members") != found.members else None
    return page.render(
        visit,
        "conversations_live.html",
        headers=headers,
        agent_id=visit.agent_id,
        base=_base(visit),
        **await _live(visit, found),
    )


async def export(visit: Visit) -> Response:
    """The current view as a file."""
    kind = visit.request.query_params.get("format", "csv")
    format: ExportFormat | None = next((k for k in exporting.MEDIA_TYPES if k == kind), None)
    if format is None:
        raise Invalid(f"format is {kind[:20]!r}; it should be one of {', '.join(exporting.MEDIA_TYPES)}.")
    wanted = asked(visit)
    if wanted.mode == "semantic":
        raise Invalid("A search by meaning orders conversations and leaves none out; export by words or filters.")
    _, stream = await exporting.begun(
        visit.services.exports, visit.services.finders, visit.principal, visit.agent_id, format, wanted.criteria
    )
    ending = {"vcon": "vcon.jsonl"}.get(format, format)
    name = f'attachment; filename="conversations.{ending}"'
    headers = {"Content-Disposition": name, "Cache-Control": "no-store", **page.HEADERS}
    return StreamingResponse(stream, headers=headers, media_type=exporting.MEDIA_TYPES[format])


async def save_view(visit: Visit) -> Response:
    try:
        pairs = parse_qsl(visit.field("query").removeprefix("?"), max_num_fields=MOST_PAIRS)
    except ValueError:
        raise Invalid("The view has more filters than can be saved.") from None
    view = await visit.services.views.save(visit.principal, visit.agent_id, visit.field("view"), showing.query(pairs))
    return page.redirect(f"{_base(visit)}?{view.query}")


async def remove_view(visit: Visit) -> Response:
    await visit.services.views.remove(visit.principal, visit.agent_id, visit.field("name"))
    return page.redirect(_base(visit))


async def _found(visit: Visit, wanted: Asked) -> Found:
    service, who = visit.services.conversations, (visit.principal, visit.agent_id, wanted.criteria)
    if wanted.mode == "semantic":
        offset = wanted.after.value if wanted.after is not None else 0
        return await service.alike(*who, wanted.values["query"], limit=ROWS, offset=offset)
    return await service.page(*who, wanted.order, limit=ROWS, after=wanted.after)


async def rows(visit: Visit, listed: Sequence[Listed], wanted: Asked | None = None) -> list[dict[str, Any]]:
    """What the visitor may see of each, with the places of a search and the metrics that are columns."""
    finder = await visit.services.finders.of(visit.principal, visit.agent_id)
    metrics = [c.removeprefix(METRIC) for c in wanted.columns if c.startswith(METRIC)] if wanted is not None else []
    if not (_phrases(wanted) or metrics):
        return [_row(item, visit.principal, finder) for item in listed]
    transcripts = await visit.services.conversations.transcripts(visit.principal, listed)

    def whole() -> list[dict[str, Any]]:
        found = []
        for item, transcript in zip(listed, transcripts, strict=True):
            row = _row(item, visit.principal, finder)
            if wanted is not None and _phrases(wanted):
                row["matches"] = hiding.matches_in(
                    transcript, item, _phrases(wanted), visit.principal, finder, wanted.values["turnType"]
                )
            if sees_personal(visit.principal):
                row["metrics"] = {name: _metric(transcript, name) for name in metrics}
            found.append(row)
        return found

    return await hiding.apart(whole)


def _row(item: Listed, principal: Principal, finder: Finder) -> dict[str, Any]:
    body = hiding.summary_of(item, principal, finder)
    more = {
        "annotations": len(item.review.annotations),
        "turnCount": item.conversation.turns,
        "matches": [],
        "metrics": {},
    }
    return {**body, **more}


def _metric(transcript: Transcript, name: str) -> str:
    written = [*(m for turn in transcript.turns for m in turn.metrics), *transcript.closing_metrics]
    return ", ".join(dict.fromkeys(m.text for m in written if m.name == name))


def _phrases(wanted: Asked | None) -> tuple[tuple[str, ...], ...]:
    """What is looked for in what was said, to be shown and marked."""
    if wanted is None or wanted.mode not in ("transcript", "semantic"):
        return ()
    found = words.phrases(wanted.values["query"])
    if wanted.mode == "transcript":
        return found
    return tuple((word,) for phrase in found for word in phrase if len(word) >= TELLING)


def _chips(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """(name, value, the address without it) of each filter."""
    found = []
    for n, (name, text) in enumerate(pairs[:MOST_CHIPS]):
        if name in FILTER_NAMES:
            rest = [
                p for m, p in enumerate(pairs) if m != n and not (name == "query" and p[0] in ("queryType", "turnType"))
            ]
            shown = {"true": "yes", "false": "no"}.get(text, text)
            found.append((FILTER_NAMES[name], shown, showing.query(rest)))
    return found


def _hidden(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the form of filters has no field for, and further values of those of which it shows the first."""
    seen: set[str] = set()
    found = []
    for name, text in pairs:
        if name in seen or name not in FILTER_NAMES or name == "scope":
            found.append((name, text))
        seen.add(name)
    return [(name, text) for name, text in found if name not in ("queryType", "turnType")]


def _sorts(wanted: Asked) -> dict[str, tuple[str, str]]:
    """column -> (the address that sorts by it, how it is sorted by it now)."""
    pairs = [pair for pair in wanted.pairs if pair[0] != "sort"]
    current = wanted.values["sort"]
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
