"""Where a transition leads: pure answers over the agent's flows."""

from __future__ import annotations

from msgspec import Struct

from vivavoce.domain.agent import Agent
from vivavoce.domain.conversation import Notice, Place, Transition
from vivavoce.domain.flow import Flow, FunctionStep, Step
from vivavoce.domain.ids import clean_name


class Move(Struct, frozen=True, kw_only=True):
    """The place after a transition; `has_moved` also when a flow begins again at its start."""

    place: Place
    has_moved: bool = False
    notice: Notice | None = None


def move(agent: Agent, place: Place, transition: Transition) -> Move:
    """Unknown flows and steps change nothing and leave a notice: agents in the wild name steps that do not exist."""
    if transition.goto_flow:
        flow = agent.flows.get(transition.goto_flow)
        if flow is None:
            return Move(
                place=place,
                notice=Notice(
                    code="unknown_flow",
                    message=f"There is no flow {transition.goto_flow!r}; the conversation stays where it is.",
                ),
            )
        if not transition.goto_step:
            return Move(place=Place(flow=flow.name, step=flow.start_step), has_moved=True)
        step, notice = find_step(flow, transition.goto_step)
        if step is None:
            return Move(place=Place(flow=flow.name, step=flow.start_step), has_moved=True, notice=notice)
        return Move(place=Place(flow=flow.name, step=step), has_moved=True, notice=notice)
    if transition.goto_step:
        flow = agent.flows.get(place.flow or "")
        if flow is None:
            return Move(
                place=place,
                notice=Notice(
                    code="step_outside_flow",
                    message=f"goto_step({transition.goto_step!r}) outside of a flow has no effect.",
                ),
            )
        step, notice = find_step(flow, transition.goto_step)
        if step is None:
            return Move(place=place, notice=notice)
        return Move(place=Place(flow=flow.name, step=step), has_moved=True, notice=notice)
    if transition.exit_flow and place.flow is not None:
        return Move(place=Place(), has_moved=True)
    return Move(place=place)


def find_step(flow: Flow, name: str) -> tuple[str | None, Notice | None]:
    """By exact name or file stem; failing that by cleaned name, with a notice."""
    if name in flow.steps:
        return name, None
    wanted = clean_name(name)
    for step in flow.steps:
        if clean_name(step) == wanted:
            return step, Notice(
                code="step_name", message=f"Step {name!r} of flow {flow.name!r} was taken for {step!r}."
            )
    return None, Notice(
        code="unknown_step", message=f"Flow {flow.name!r} has no step {name!r}; the conversation stays where it is."
    )


def step_at(agent: Agent, place: Place) -> Step | None:
    flow = agent.flows.get(place.flow or "")
    return flow.steps.get(place.step or "") if flow is not None else None


def is_function_step(agent: Agent, place: Place) -> bool:
    return isinstance(step_at(agent, place), FunctionStep)
