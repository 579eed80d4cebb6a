"""A/B tests of an agent: which run, what the two versions of one come to, and how it ends."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from vivavoce.console import page, showing
from vivavoce.console.visit import Page, Visit, number
from vivavoce.domain.sequential import Comparison
from vivavoce.errors import Invalid
from vivavoce.service.experiments import Result

PATH = "/console/agents/{agentId}/ab-tests"
SHOWN = 50  # tests, of which the newest


async def show(visit: Visit) -> Response:
    return await _page(visit, "")


async def show_one(visit: Visit) -> Response:
    return await _page(visit, visit.path("testId"))


async def _page(visit: Visit, test: str) -> Response:
    experiments, principal, agent_id = visit.services.experiments, visit.principal, visit.agent_id
    tests = list(await experiments.listed(principal, agent_id))[:SHOWN]
    test = test or next((each.id for each in tests), "")
    result = await experiments.result(principal, agent_id, test) if test else None
    named = {id: await _version(visit, id) for each in tests for id in (each.control, each.variant)}
    return await page.show(
        visit,
        "ab_tests.html",
        "operations",
        agent_id=agent_id,
        tests=tests,
        shown=test,
        result=result,
        rows=_rows(result) if result is not None else [],
        named=named,
        candidates=await _candidates(visit),
        saved=visit.request.query_params.get("saved", ""),
    )


async def _version(visit: Visit, deployment: str) -> str:
    found = await visit.services.versions.get(visit.principal, visit.agent_id, deployment)
    return found.version[:9]


async def _candidates(visit: Visit) -> dict[str, str]:
    """Environments whose version could be tried, with that version."""
    found = await visit.services.deployments.environments(visit.principal, visit.agent_id)
    return {
        name: each.version[:9]
        for name in ("sandbox", "pre-release")
        if (each := found.get(name)) is not None and each.environment == name
    }


def _rows(result: Result) -> list[dict[str, Any]]:
    """A metric each: both means, and the interval of the difference as a line on a scale that has nought in its middle."""
    rows = []
    for name in sorted({*result.control.means, *result.variant.means}):
        comparison = result.comparisons.get(name)
        rows.append(
            {
                "name": name,
                "control": result.control.means.get(name),
                "variant": result.variant.means.get(name),
                "comparison": comparison,
                "line": _line(comparison) if comparison is not None else None,
                "is_decided": comparison is not None and not comparison.low <= 0 <= comparison.high,
            }
        )
    return rows


def _line(found: Comparison) -> dict[str, float]:
    """From 0 to 100."""
    widest = max(abs(found.low), abs(found.high)) or 1.0

    def place(value: float) -> float:
        return round(50 + 48 * value / widest, 1)

    return {"low": place(found.low), "high": place(found.high), "middle": place(found.difference)}


async def change(visit: Visit) -> Response:
    experiments, principal, agent_id = visit.services.experiments, visit.principal, visit.agent_id
    match visit.field("what"):
        case "create":
            made = await experiments.create(
                principal,
                agent_id,
                name=visit.field("name"),
                variant=visit.field("version"),
                share=number("The share", visit.field("share")),
                environment=visit.field("environment") or "live",
            )
            test = made.id
        case "share":
            test = visit.field("test")
            await experiments.change(principal, agent_id, test, share=number("The share", visit.field("share")))
        case "end":
            test = visit.field("test")
            await experiments.end(principal, agent_id, test, chosen=visit.field("chosen") or None)
        case what:
            raise Invalid(f"{what[:40]!r} cannot be done to an A/B test.")
    address = PATH.replace("{agentId}", showing.segment(agent_id))
    return page.redirect(f"{address}/{showing.segment(test)}?saved={visit.field('what')}")


PAGES = (
    Page(method="GET", path=PATH, handler=show, permission="read"),
    Page(method="GET", path=f"{PATH}/{{testId}}", handler=show_one, permission="read"),
    Page(method="POST", path=PATH, handler=change, permission="admin"),
)
