"""Flows as graphs: where each step may lead, by its conditions and by the moves that its functions name literally."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from vivavoce.domain.agent import Agent, Function
from vivavoce.domain.flow import Flow, FunctionStep, PromptStep
from vivavoce.domain.ids import clean_name
from vivavoce.project.moves import moves

_MOVES = re.compile(rb"goto_|exit_flow\(")
EXIT = ""  # where a way leads that leaves the flow


class Edge(Struct, frozen=True, kw_only=True):
    """A way from a step to another, or out; `label` names the condition or function that leads there."""

    source: str
    target: str
    label: str = ""


def edges(agent: Agent, code: Mapping[str, bytes]) -> dict[str, tuple[Edge, ...]]:
    """By flow. `code` are the Python files of the agent's tree; each is parsed once."""
    made = {
        path: _Made(tuple(moves(text)), b"exit_flow(" in text) for path, text in code.items() if _MOVES.search(text)
    }
    return {flow.name: _edges(agent, flow, made) for flow in agent.flows.values()}


class _Made(Struct, frozen=True):
    """The moves that a file makes."""

    moves: tuple[tuple[int, str, str], ...] = ()
    is_leaving: bool = False


def _edges(agent: Agent, flow: Flow, made: Mapping[str, _Made]) -> tuple[Edge, ...]:
    found: dict[Edge, None] = {}
    for name, step in flow.steps.items():
        if isinstance(step, FunctionStep):
            function = agent.step_functions.get(flow.name, {}).get(name)
            _add_moves(found, flow, name, function, made, label="")
            continue
        for condition in step.conditions:
            target = _step(flow, condition.child) if condition.child is not None else EXIT
            if target is not None:
                found[Edge(source=name, target=target, label=condition.name)] = None
        for called in _functions(agent, flow, step):
            _add_moves(found, flow, name, called, made, label=called.name)
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
    made: Mapping[str, _Made],
    *,
    label: str,
) -> None:
    own = made.get(function.path, _Made()) if function is not None else _Made()
    for _, method, name in own.moves:
        if method == "goto_flow" and name != flow.name:
            found[Edge(source=source, target=EXIT, label=label or f"to {name}")] = None
        elif method == "goto_step" and (target := _step(flow, name)) is not None:
            found[Edge(source=source, target=target, label=label)] = None
    if own.is_leaving:
        found[Edge(source=source, target=EXIT, label=label)] = None


def _step(flow: Flow, name: str) -> str | None:
    if name in flow.steps:
        return name
    return next((step for step in flow.steps if clean_name(step) == clean_name(name)), None)
