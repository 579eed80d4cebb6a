"""An agent made ready to run: what every turn needs of it is worked out once, when its tree is loaded."""

from __future__ import annotations

from msgspec.structs import replace

from vivavoce.domain.agent import Agent, Function
from vivavoce.domain.conversation import Rendered, Severity, Tool
from vivavoce.domain.flow import PromptStep
from vivavoce.engine import screening
from vivavoce.engine.collecting import Collecting, collecting
from vivavoce.knowledge.interface import PassageRetriever, Retriever
from vivavoce.project import references

_NOTHING: frozenset[str] = frozenset()


class Prepared:
    """`tree` names the agent's content; `retriever` searches its topics, `sources` its passages."""

    def __init__(
        self, agent: Agent, retriever: Retriever, sources: PassageRetriever, tree: str, code: dict[str, bytes]
    ) -> None:
        self.agent = agent
        self.retriever = retriever
        self.sources = sources
        self.passage_texts = tuple(Rendered.of((passage.text,)) for passage in agent.passages)
        self.tree = tree
        self.code = code  # the tree's Python files, for the process that runs them
        self.topic_tools = {
            topic.name: tuple(
                (ref.kind, ref.name) for ref in references.find(topic.actions) if ref.kind in ("ho", "twilio_sms")
            )
            for topic in agent.topics.values()
        }
        self.topic_functions = {name: references.names(topic.actions, "fn") for name, topic in agent.topics.items()}
        self._groups: dict[str, Prepared] = {}
        self._tools: dict[tuple[str | None, str], Tool] = {}
        self._collecting: dict[tuple[str, str], Collecting] = {}
        self._thresholds: dict[str, dict[str, Severity]] = {}
        self.visible: dict[object, tuple[Tool, ...]] = {}  # by what was mentioned where; see tools.visible

    def in_group(self, name: str | None) -> Prepared:
        """The same agent with the experimental configuration of a test group."""
        group = next((g for g in self.agent.test_groups if g.name == name), None) if name is not None else None
        if group is None:
            return self
        found = self._groups.get(group.name)
        if found is None:
            agent = replace(self.agent, experimental=group.experimental)
            found = self._groups[group.name] = Prepared(agent, self.retriever, self.sources, self.tree, self.code)
        return found

    def tool(self, function: Function, *, name: str | None = None) -> Tool:
        """The face of a function to the model, under its own or another name."""
        key = (function.flow, name or function.name)
        found = self._tools.get(key)
        if found is None:
            properties = {p.name: {"type": p.type, "description": p.description} for p in function.parameters}
            found = self._tools[key] = Tool(
                name=name or function.name,
                description=function.description,
                schema={"type": "object", "properties": properties, "required": [p.name for p in function.parameters]},
                reference=function.module,
            )
        return found

    def collecting(self, flow: str, step: PromptStep) -> Collecting:
        """The tools of a default step."""
        key = (flow, step.name)
        found = self._collecting.get(key)
        if found is None:
            found = self._collecting[key] = collecting(self.agent, step)
        return found

    def thresholds(self, channel: str) -> dict[str, Severity]:
        """What the safety filters of a channel block."""
        found = self._thresholds.get(channel)
        if found is None:
            found = self._thresholds[channel] = screening.thresholds(self.agent, channel)
        return found

    def clashes(self, flow: str | None, step: PromptStep) -> frozenset[str]:
        """Global functions that the step mentions beside a function of the flow with the same name."""
        if not step.global_functions or not step.functions:
            return _NOTHING
        return frozenset(step.functions) & frozenset(step.global_functions)
