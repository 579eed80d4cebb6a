"""What only shows when the sections are looked at together: references that lead nowhere, and parts without effect yet."""

from __future__ import annotations

from collections.abc import Iterable

from vivavoce.domain.agent import Agent
from vivavoce.domain.deployment import Tree
from vivavoce.domain.flow import Flow, PromptStep
from vivavoce.project import layout, references
from vivavoce.project.source import Faults

# Which reference kinds each place may use; the rest are left in the text as they stand.
ALLOWED = {
    "rules": {"fn", "attr", "vrbl", "tn", "twilio_sms", "ho"},
    "topic": {"fn", "attr", "vrbl", "tn", "twilio_sms", "ho"},
    "advanced": {"fn", "ft", "entity", "attr", "vrbl", "tn", "twilio_sms", "ho"},
    "default": {"entity", "attr", "vrbl", "tn", "twilio_sms", "ho"},
    "persona": {"attr", "vrbl"},
    "greeting": {"attr", "vrbl", "tn"},
    "sms": {"vrbl", "tn", "attr", "entity"},
}


def check(agent: Agent, tree: Tree, faults: Faults) -> None:
    _Checker(agent, tree, faults).run()


class _Checker:
    def __init__(self, agent: Agent, tree: Tree, faults: Faults) -> None:
        self.agent = agent
        self.tree = tree
        self.faults = faults
        attributes = {a for values in agent.variants.attributes.values() for a in values}
        self.known: dict[str, Iterable[str]] = {
            "fn": agent.functions.keys(),
            "entity": agent.entities.keys(),
            "attr": attributes,
            "tn": agent.translations.keys(),
            "twilio_sms": agent.sms_templates.keys(),
            "ho": agent.handoffs.keys(),
        }

    def run(self) -> None:
        agent = self.agent
        self.text(layout.RULES, agent.rules, "rules")
        for path in sorted(p for p in self.tree.files if layout.TOPIC.fullmatch(p)):
            self.file(path, "topic")
        for path in (layout.PERSONALITY, layout.ROLE):
            self.file(path, "persona")
        for path in (layout.VOICE, layout.CHAT):
            self.file(path, "greeting")
        self.file(layout.SMS, "sms")
        for flow in agent.flows.values():
            self.flow(flow)
        for keyword in agent.stop_keywords:
            if keyword.function and keyword.function not in agent.functions:
                line = self.line(layout.STOP_KEYWORDS, keyword.function)
                self.faults.warn(
                    layout.STOP_KEYWORDS,
                    line,
                    "unknown-reference",
                    f"Stop keyword {keyword.name!r} names a function {keyword.function!r} that does not exist.",
                )

    def line(self, path: str, needle: str) -> int:
        content = self.tree.files.get(path, b"")
        at = content.find(needle.encode())
        return content.count(b"\n", 0, at) + 1 if at >= 0 else 1

    def file(self, path: str, place: str, flow: str | None = None) -> None:
        content = self.tree.files.get(path)
        if content is not None and b"{{" in content:
            self.text(path, content.decode("utf-8", "replace"), place, flow)

    def text(self, path: str, text: str, place: str, flow: str | None = None) -> None:
        for ref in references.find(text) if "{{" in text else ():
            line = ref.line + 1
            if ref.kind not in ALLOWED[place]:
                what = f"{{{{{ref.kind}:{ref.name}}}}}"
                if place == "default" and ref.kind in ("fn", "ft"):
                    self.faults.error(
                        path,
                        line,
                        "reference",
                        f"{what} may not stand in a default step: it takes conditions, not functions.",
                    )
                else:
                    self.faults.warn(path, line, "reference", f"{what} has no effect here.")
            elif ref.kind == "vrbl":
                if ref.name not in self.agent.variables:
                    self.faults.warn(
                        path,
                        line,
                        "unknown-reference",
                        f"No function sets conv.state.{ref.name}; {{{{vrbl:{ref.name}}}}} will be empty.",
                    )
            elif ref.name not in self.names(ref.kind, flow):
                self.faults.warn(
                    path,
                    line,
                    "unknown-reference",
                    f"{{{{{ref.kind}:{ref.name}}}}} names something that does not exist.",
                )

    def names(self, kind: str, flow: str | None) -> Iterable[str]:
        if kind == "ft":
            return self.agent.flow_functions.get(flow or "", {}).keys()
        return self.known[kind]

    def flow(self, flow: Flow) -> None:
        prefix = f"flows/{flow.folder}/steps/"
        for path in sorted(p for p in self.tree.files if p.startswith(prefix)):
            kind = "default" if b"default_step" in self.tree.files[path] else "advanced"
            self.file(path, kind, flow.name)
        for step in flow.steps.values():
            if isinstance(step, PromptStep) and step.kind == "default":
                self.default_step(flow, step, prefix)

    def default_step(self, flow: Flow, step: PromptStep, prefix: str) -> None:
        path = next(
            (
                p
                for p in self.tree.files
                if p.startswith(prefix) and f"name: {step.name}".encode() in self.tree.files[p]
            ),
            prefix,
        )
        for name in step.extracted_entities:
            if name not in self.agent.entities:
                self.faults.error(
                    path,
                    self.line(path, name),
                    "unknown-reference",
                    f"Step {step.name!r} extracts an entity {name!r} that does not exist.",
                )
        collected = {name for s in flow.steps.values() if isinstance(s, PromptStep) for name in s.extracted_entities}
        seen: set[str] = set()
        for condition in step.conditions:
            if condition.name in seen:
                self.faults.error(
                    path,
                    self.line(path, condition.name),
                    "duplicate",
                    f"There is already a condition named {condition.name!r} in step {step.name!r}.",
                )
            seen.add(condition.name)
            if condition.child is not None and condition.child not in flow.steps:
                self.faults.error(
                    path,
                    self.line(path, condition.child),
                    "unknown-reference",
                    f"Condition {condition.name!r} leads to a step {condition.child!r} that does not exist.",
                )
            for name in condition.required_entities:
                if name in self.agent.entities and name not in collected:
                    self.faults.warn(
                        path,
                        self.line(path, name),
                        "never-collected",
                        f"Condition {condition.name!r} needs {name!r}, which no step of the flow extracts.",
                    )
                if name not in self.agent.entities:
                    self.faults.error(
                        path,
                        self.line(path, name),
                        "unknown-reference",
                        f"Condition {condition.name!r} needs an entity {name!r} that does not exist.",
                    )
