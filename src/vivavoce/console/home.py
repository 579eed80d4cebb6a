"""The first page: each agent's figures, what it serves where, and what to do next."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from vivavoce.console import page
from vivavoce.console.visit import Page, Visit
from vivavoce.domain.conversation import ENVIRONMENTS, Environment
from vivavoce.domain.deployment import Deployment
from vivavoce.service.deployments import KnownAgent
from vivavoce.service.statistics import Overview

PATH = "/console"
PERIODS = (7, 30, 90)
MOST_AGENTS = 20  # on one page

Series = list[dict[str, Any]]


class Card(Struct, frozen=True, kw_only=True):
    agent_id: str
    account_id: str
    is_served: bool
    faults: int
    refusal: str | None  # why the folder as it is on disk is not what is served
    environments: dict[Environment, Deployment | None]
    overview: Overview | None
    labels: list[str] = []
    volume: Series = []
    rates: Series = []
    latency: Series = []
    scores: Series = []


async def show(visit: Visit) -> Response:
    given = visit.request.query_params
    days = next((n for n in PERIODS if str(n) == given.get("days")), PERIODS[1])
    environment = next((e for e in ENVIRONMENTS if e == given.get("environment")), None)
    agents = await visit.services.deployments.agents(visit.principal)
    cards = [await _card(visit, known, days, environment) for known in agents[:MOST_AGENTS]]
    return await page.show(
        visit, "home.html", "home", agents=agents, more=agents[MOST_AGENTS:], cards=cards, days=days, periods=PERIODS, environment=environment,
        environments=ENVIRONMENTS, origin=str(visit.request.base_url).rstrip("/"),
    )  # fmt: skip


async def _card(visit: Visit, known: KnownAgent, days: int, environment: Environment | None) -> Card:
    services, principal = visit.services, visit.principal
    may_read = visit.may("read")
    faults = services.deployments.faults(principal, known.agent_id) if may_read else ()
    card = Card(
        agent_id=known.agent_id,
        account_id=known.account_id,
        is_served=known.served is not None,
        faults=sum(fault.severity == "error" for fault in faults),
        refusal=services.deployments.refusal(principal, known.agent_id) if may_read else None,
        environments=await services.deployments.environments(principal, known.agent_id),
        overview=None,
    )
    if not may_read:
        return card
    overview = await services.statistics.overview(principal, known.agent_id, days, environment=environment)
    each = overview.days
    return replace(
        card,
        overview=overview,
        labels=[day.day for day in each],
        volume=[_line("conversations", [day.conversations for day in each])],
        rates=[
            _line("contained", [_percent(day.containment) for day in each]),
            _line("with errors", [_percent(day.failure_rate) for day in each]),
        ],
        latency=[
            _line("median", [_rounded(day.median) for day in each]),
            _line("p95", [_rounded(day.p95) for day in each]),
        ],
        scores=[_line("score", [round(day.score, 2) if day.score is not None else None for day in each])],
    )


def _line(name: str, values: list[Any]) -> dict[str, Any]:
    return {"name": name, "values": values}


def _percent(value: float | None) -> float | None:
    return round(value * 100, 1) if value is not None else None


def _rounded(value: float | None) -> int | None:
    return round(value) if value is not None else None


PAGES = (Page(method="GET", path=PATH, handler=show),)
