"""Flows as graphs: where each step may lead, by its conditions and by the moves that its functions name literally."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from vivavoce.domain.agent import Agent, Function
from vivavoce.domain.flow import Flow, FunctionStep, PromptStep
from vivavoce.domain.ids import clean_name
from vivavoce.project.moves import moves

EXIT = ""  # where a way leads that leaves the flow


class Edge(Struct, frozen=True, kw_only=True):
    """A way from a step to another, or out; `label` names the condition or function that leads there."""

    source: str
    target: str
    label: str = ""


def edges(agent: Agent, flow: Flow, code: Mapping[str, bytes]) -> tuple[Edge, ...]:
    """`code` are the Python files of the agent's tree."""
    found: dict[Edge, None] = {}
    for name, step in flow.steps.items():
        if isinstance(step, FunctionStep):
            function = agent.step_functions.get(flow.name, {}).get(name)
            _add_moves(found, flow, name, function, code, label="")
            continue
        for condition in step.conditions:
            target = _step(flow, condition.child) if condition.child is not None else EXIT
            if target is not None:
                found[Edge(source=name, target=target, label=condition.name)] = None
        for called in _functions(agent, flow, step):
            _add_moves(found, flow, name, called, code, label=called.name)
    return tuple(found)


def _functions(agent: Agent, flow: Flow, step: PromptStep) -> list[Function]:
    own = agent.flow_functions.get(flow.name, {})
    wanted = [own.get(name) for name in step.functions] + [agent.functions.get(name) for name in step.global_functions]
    return [function for function in wanted if function is not None]


def _add_moves(
    found: dict[Edge, None],
    flow: Flow,
    source: str,
    function: Function | None,
    code: Mapping[str, bytes],
    *,
    label: str,
) -> None:
    content = code.get(function.path, b"") if function is not None else b""
    for _, method, name in moves(content):
        if method == "goto_flow" and name != flow.name:
            found[Edge(source=source, target=EXIT, label=label or f"to {name}")] = None
        elif method == "goto_step" and (target := _step(flow, name)) is not None:
            found[Edge(source=source, target=target, label=label)] = None
    if b"exit_flow(" in content:
        found[Edge(source=source, target=EXIT, label=label)] = None


def _step(flow: Flow, name: str) -> str | None:
    if name in flow.steps:
        return name
    return next((step for step in flow.steps if clean_name(step) == clean_name(name)), None)
