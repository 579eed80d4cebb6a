"""What only shows when the sections are looked at together: references that lead nowhere, and parts without effect yet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from zoneinfo import ZoneInfo

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


TIME_ZONE_ATTRIBUTES = ("timezone", "time_zone")
CHANNELS = ("voice", "webchat", "sms")
_TAG = re.compile(r"<(language|channel):([\w-]+)>|</(?:language|channel)>")


def is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


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
        self.time_zones()
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
        """Where a name stands as a value or an item; failing that, where it stands at all."""
        text = self.tree.files.get(path, b"").decode("utf-8", "replace")
        item = re.search(rf"(?:^\s*-\s*|[\[,:]\s*)['\"]?{re.escape(needle)}['\"]?\s*(?=[,\]}}]|$)", text, re.MULTILINE)
        at = item.end() if item else text.find(needle)
        return text.count("\n", 0, at) + 1 if at >= 0 else 1

    def file(self, path: str, place: str, flow: str | None = None) -> None:
        content = self.tree.files.get(path)
        if content is not None and (b"{{" in content or b"<language:" in content or b"<channel:" in content):
            self.text(path, content.decode("utf-8", "replace"), place, flow)

    def text(self, path: str, text: str, place: str, flow: str | None = None) -> None:
        self.tags(path, text)
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

    def time_zones(self) -> None:
        for attributes in self.agent.variants.attributes.values():
            for name in TIME_ZONE_ATTRIBUTES:
                value = attributes.get(name)
                if value and not is_time_zone(value):
                    self.faults.warn(
                        layout.VARIANTS,
                        self.line(layout.VARIANTS, value),
                        "unknown-value",
                        f"{name} is {value!r}, which is no time zone such as Europe/London; the server's is used.",
                    )

    def tags(self, path: str, text: str) -> None:
        """Blocks for a language that there is not, and blocks that are never closed."""
        depth = 0
        for tag in _TAG.finditer(text):
            line = text.count("\n", 0, tag.start()) + 1
            if not tag[1]:
                depth -= 1
                if depth < 0:
                    depth = 0
                    self.faults.warn(path, line, "tag", f"{tag.group()} closes nothing.")
                continue
            depth += 1
            known = {t.lower() for t in self.agent.languages.all} | {
                t.split("-")[0].lower() for t in self.agent.languages.all
            }
            if tag[1] == "language" and tag[2].lower() not in known:
                self.faults.warn(path, line, "tag", f"{tag.group()}: {tag[2]} is not a language of this agent.")
            if tag[1] == "channel" and tag[2] not in CHANNELS:
                self.faults.warn(path, line, "tag", f"{tag.group()}: a channel is one of {', '.join(CHANNELS)}.")
        if depth > 0:
            self.faults.warn(path, text.count("\n") + 1, "tag", "A <language:…> or <channel:…> block is never closed.")

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
