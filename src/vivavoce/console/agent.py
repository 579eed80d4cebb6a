"""An agent as the server sees its folder: flows as graphs with their traffic, topics, functions, variants, faults; and what it would retrieve."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from vivavoce.console import page, showing, version
from vivavoce.console.origins import origins
from vivavoce.console.visit import Page, Visit
from vivavoce.domain.agent import Agent
from vivavoce.domain.flow import Flow, FunctionStep
from vivavoce.engine.prepared import Prepared
from vivavoce.errors import DraftNotFound
from vivavoce.project import graphs
from vivavoce.project.source import Fault
from vivavoce.service.statistics import FunctionUse, Inside, TopicUse

PATH = "/console/agents/{agentId}"
DAYS = 30
MAX_SHOWN = 2_000  # characters of a topic


class FunctionRow(Struct, frozen=True, kw_only=True):
    name: str
    where: str
    flow: str
    kind: str
    description: str
    use: FunctionUse


class TopicRow(Struct, frozen=True, kw_only=True):
    name: str
    path: str
    is_enabled: bool
    content: str
    actions: str
    examples: tuple[str, ...]
    use: TopicUse


class Graph(Struct, frozen=True, kw_only=True):
    """A flow to be drawn: `data` is what the page's script lays out, `edges` the same for whoever reads."""

    flow: Flow
    edges: list[tuple[str, str, str, int]]  # from, to ("" is out), by what, how often
    data: dict[str, Any]


async def show(visit: Visit) -> Response:
    agent_id, services, principal = visit.agent_id, visit.services, visit.principal
    faults = services.deployments.faults(principal, agent_id)
    try:
        deployment = await services.deployments.resolve(principal, agent_id, "draft")
    except DraftNotFound:
        deployment = None
    prepared = await services.deployments.prepared(deployment.tree) if deployment is not None else None
    inside = await services.statistics.inside(principal, agent_id, DAYS)
    agents = await services.deployments.agents(principal)
    known = next((a for a in agents if a.agent_id == agent_id), None)
    values: dict[str, Any] = {"agent": None}
    if prepared is not None:
        values = await asyncio.to_thread(_described, prepared, inside)
    question = visit.request.query_params.get("q", "").strip()
    explained = await services.knowledge.explain(principal, agent_id, question) if question and prepared else None
    return await page.show(
        visit,
        "agent.html",
        "agent",
        agent_id=agent_id,
        agents=agents,
        **(await version.values(visit, is_talk=False) if deployment is not None else {"errors": 0, "state": ""}),
        base=PATH.replace("{agentId}", showing.segment(agent_id)),
        deployment=deployment,
        is_served=known is not None and known.served is not None,
        faults=_by_path(faults),
        days=DAYS,
        question=question,
        explained=explained,
        **values,
    )


def _described(prepared: Prepared, inside: Inside) -> dict[str, Any]:
    agent = prepared.agent
    ways = graphs.edges(agent, prepared.code)
    return {
        "agent": agent,
        "graphs": [_graph(flow, ways[flow.name], inside) for flow in agent.flows.values()],
        "functions": _functions(agent, inside),
        "topics": sorted(
            (
                TopicRow(
                    name=topic.name,
                    path=topic.path,
                    is_enabled=topic.enabled,
                    content=topic.content[:MAX_SHOWN],
                    actions=topic.actions[:MAX_SHOWN],
                    examples=topic.example_queries,
                    use=inside.topics.get(topic.name, TopicUse()),
                )
                for topic in agent.topics.values()
            ),
            key=lambda row: (-row.use.retrieved, row.name),
        ),
        "files": len({p.source for p in agent.passages}),
    }


def _functions(agent: Agent, inside: Inside) -> list[FunctionRow]:
    where = origins(agent).functions
    groups: list[tuple[str, Any]] = [("", agent.functions)]
    groups += [*agent.flow_functions.items(), *agent.step_functions.items()]
    found = [
        FunctionRow(
            name=f.name,
            where=where.get(f.module, ""),
            flow=flow,
            kind=f.kind,
            description=f.description,
            use=inside.functions.get(f.module, FunctionUse()),
        )
        for flow, functions in groups
        for f in functions.values()
    ]
    return sorted(found, key=lambda row: (-row.use.calls, row.flow, row.name))


def _graph(flow: Flow, named: Sequence[graphs.Edge], inside: Inside) -> Graph:
    """The ways that the folder names, and those that were gone besides."""
    prefix = f"{flow.name}/"
    visits = {step: inside.steps.get(prefix + step, 0) for step in flow.steps}
    labels: dict[tuple[str, str], list[str]] = {}
    for edge in named:
        labels.setdefault((edge.source, edge.target), []).append(edge.label)
    counts: dict[tuple[str, str], int] = {}
    for (before, after), count in inside.moves.items():
        if before.startswith(prefix) and before.removeprefix(prefix) in flow.steps:
            target = after.removeprefix(prefix) if after.startswith(prefix) else graphs.EXIT
            place = (before.removeprefix(prefix), target)
            counts[place] = counts.get(place, 0) + count
    ways = sorted({*labels, *(place for place in counts if place[1] in flow.steps or place[1] == graphs.EXIT)})
    edges = [
        (a, b, ", ".join(filter(None, dict.fromkeys(labels.get((a, b), ())))), counts.get((a, b), 0)) for a, b in ways
    ]
    nodes = [
        {
            "id": step,
            "count": visits[step],
            "is_start": step == flow.start_step,
            "is_code": isinstance(flow.steps[step], FunctionStep),
        }
        for step in sorted(flow.steps, key=lambda step: step != flow.start_step)  # the layout begins with the first
    ]
    has_exit = any(b == graphs.EXIT for _, b, _, _ in edges)
    drawn = [{"from": a, "to": b or "\0exit", "label": label, "count": count} for a, b, label, count in edges]
    if has_exit:
        nodes.append({"id": "\0exit", "label": "leaves the flow", "count": None, "is_exit": True})
    return Graph(flow=flow, edges=edges, data={"nodes": nodes, "edges": drawn})


def _by_path(faults: tuple[Fault, ...]) -> list[Fault]:
    return sorted(faults, key=lambda fault: (fault.severity != "error", fault.path, fault.line))


PAGES = (Page(method="GET", path=PATH, handler=show, permission="read"),)
