"""Where in the folder something comes from: the file, and the line where there is one, of what a trace names."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from vivavoce.domain.agent import Agent
from vivavoce.domain.flow import PromptStep
from vivavoce.project import layout

_PARTS = {
    "intro": f"{layout.PERSONALITY}, {layout.ROLE}",
    "rules": layout.RULES,
    "style": f"{layout.VOICE}, {layout.CHAT}, {layout.EXPERIMENTAL}",
    "language": layout.LANGUAGES,
    "context_information": "topics/",
    "connected_sources": "sources/",
    "external_event": "another system, over the API",
}


class Origins(Struct, frozen=True, kw_only=True):
    """`functions` by module, `steps` by flow and step, `topics` by name."""

    functions: dict[str, str] = {}
    steps: dict[str, str] = {}
    topics: dict[str, str] = {}

    def of_part(self, title: str, flow: str | None, step: str | None) -> str:
        """A part of a prompt."""
        return self.steps.get(f"{flow}/{step}", "flows/") if title == "step" else _PARTS.get(title, "")


def origins(agent: Agent) -> Origins:
    functions: dict[str, str] = {}
    steps: dict[str, str] = {}
    groups: list[dict[str, Any]] = [agent.functions, *agent.flow_functions.values(), *agent.step_functions.values()]
    for group in groups:
        functions |= {f.module: f"{f.path}:{f.line}" for f in group.values() if f.path}
    for flow in agent.flows.values():
        for name, step in flow.steps.items():
            if isinstance(step, PromptStep):
                steps[f"{flow.name}/{name}"] = step.path
    for name, coded in agent.step_functions.items():
        steps |= {f"{name}/{step}": f"{f.path}:{f.line}" for step, f in coded.items()}
    return Origins(functions=functions, steps=steps, topics={topic.name: topic.path for topic in agent.topics.values()})
