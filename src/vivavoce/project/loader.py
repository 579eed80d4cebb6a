"""A tree becomes an agent: every section parsed, then checked against the others; all faults come back at once."""

from __future__ import annotations

from typing import Any

import msgspec

from vivavoce.domain.agent import Agent, Function, RealTimeConfig, TestCase, TestGroup
from vivavoce.domain.deployment import Tree
from vivavoce.domain.flow import Flow, FunctionStep, PromptStep
from vivavoce.project import (
    checks,
    configuration,
    entities,
    experimental,
    flows,
    functions,
    identity,
    imports,
    layout,
    moves,
    real_time,
    sources,
    speech,
    suite,
    topics,
)
from vivavoce.project.source import Fault, Faults, Mapping, read_json, read_yaml


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """An agent and what is wrong with it. It can be served when no fault is an error."""

    agent: Agent
    tree: Tree
    faults: tuple[Fault, ...]

    @property
    def errors(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.severity == "error")


def load(tree: Tree, *, name: str = "agent") -> Loaded:
    """`name` is the folder's own name, used when project.yaml gives no id."""
    reader = _Reader(tree)
    agent = reader.agent(name)
    checks.check(agent, tree, reader.faults)
    imports.check(tree.files, reader.faults)
    moves.check(agent, tree.files, reader.faults)
    return Loaded(agent=agent, tree=tree, faults=tuple(sorted(set(reader.faults.found))))


class _Reader:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.faults = Faults()

    def yaml(self, *paths: str) -> Mapping:
        """The first of the files that exists; an empty mapping when none does."""
        return self.optional_yaml(*paths) or Mapping(paths[0], None, self.faults)

    def optional_yaml(self, *paths: str) -> Mapping | None:
        for path in paths:
            content = self.tree.files.get(path)
            if content is not None:
                return read_yaml(path, content, self.faults)
        return None

    def text(self, path: str) -> str:
        content = self.tree.files.get(path, b"")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.faults.error(path, content[: error.start].count(b"\n") + 1, "encoding", "The file is not UTF-8 text.")
            return content.decode("utf-8", "replace")

    def matching(self, pattern: Any) -> list[tuple[str, Any]]:
        return [(path, match) for path in sorted(self.tree.files) if (match := pattern.fullmatch(path))]

    def agent(self, name: str) -> Agent:
        if layout.PROJECT not in self.tree.files:
            self.faults.error(
                layout.PROJECT, 1, "missing", "project.yaml is missing: this does not look like an agent folder."
            )
        for path in self.tree.files:
            if (why := layout.unread(path)) is not None:
                self.faults.warn(path, 1, "unknown-file", why)
        voice = identity.channel(self.yaml(layout.VOICE), is_voice=True)
        chat = self.optional_yaml(layout.CHAT)
        languages = identity.languages(self.optional_yaml(layout.LANGUAGES), voice.greeting.language)
        configured = languages.all if layout.LANGUAGES in self.tree.files else ()
        found_flows, flow_functions, step_functions = self.flows()
        return Agent(
            identity=identity.identity(self.yaml(layout.PROJECT), name),
            persona=identity.persona(self.yaml(layout.PERSONALITY), self.yaml(layout.ROLE), self.text(layout.PERSONA)),
            rules=self.text(layout.RULES),
            languages=languages,
            voice=voice,
            chat=identity.channel(chat, is_voice=False) if chat is not None else None,
            safety={
                where: identity.safety(source, is_channel=bool(where))
                for where, path in layout.SAFETY.items()
                if (source := self.optional_yaml(path)) is not None
            },
            topics=self.topics(),
            passages=sources.passages(self.tree.files, self.faults),
            flows=found_flows,
            functions=self.functions(),
            flow_functions=flow_functions,
            step_functions=step_functions,
            variants=configuration.variants(self.yaml(layout.VARIANTS)),
            handoffs=configuration.handoffs(self.yaml(layout.HANDOFFS)),
            sms_templates=configuration.sms_templates(self.yaml(layout.SMS)),
            entities=entities.entities(self.yaml(layout.ENTITIES)),
            stop_keywords=speech.stop_keywords(self.yaml(layout.STOP_KEYWORDS)),
            translations=configuration.translations(self.yaml(layout.TRANSLATIONS), configured),
            speech=speech.speech(
                self.yaml(layout.ASR),
                self.yaml(*layout.KEYPHRASES),
                self.yaml(layout.CORRECTIONS),
                self.yaml(layout.PRONUNCIATIONS),
            ),
            api_integrations=configuration.api_integrations(self.yaml(layout.API_INTEGRATIONS)),
            experimental=self.experimental(),
            test_groups=self.test_groups(),
            real_time_config=self.real_time_config(),
            test_cases=self.test_cases(),
            variables=frozenset().union(
                *(functions.variables(c) for p, c in self.tree.files.items() if p.endswith(".py"))
            ),
        )

    def topics(self) -> dict[str, Any]:
        found = {}
        for path, _ in self.matching(layout.TOPIC):
            source = read_yaml(path, self.tree.files[path], self.faults)
            if source is None:
                continue
            topic = topics.topic(source)
            if topic.name in found:
                source.error("name", "duplicate", f"There is already a topic named {topic.name!r}.")
            else:
                found[topic.name] = topic
        return found

    def functions(self) -> dict[str, Function]:
        found = {}
        for path, match in self.matching(layout.FUNCTION):
            stem = match.group(1)
            kind = {"start_function": "start", "end_function": "end"}.get(stem, "global")
            if stem == "__init__":
                continue
            function = functions.parse(path, self.tree.files[path], kind, None, self.faults)  # type: ignore[arg-type]  # literals
            if function is not None:
                found[stem] = function
        return found

    def flows(self) -> tuple[dict[str, Flow], dict[str, dict[str, Function]], dict[str, dict[str, Function]]]:
        found: dict[str, Flow] = {}
        flow_functions: dict[str, dict[str, Function]] = {}
        step_functions: dict[str, dict[str, Function]] = {}
        steps = self.matching(layout.STEP)
        code = self.matching(layout.FUNCTION_STEP)
        own = self.matching(layout.FLOW_FUNCTION)
        for path, match in self.matching(layout.FLOW):
            folder = match.group(1)
            source = read_yaml(path, self.tree.files[path], self.faults)
            if source is None:
                continue
            name, description, start = flows.header(source)
            if name in found:
                source.error("name", "duplicate", f"There is already a flow named {name!r}.")
                continue
            by_name: dict[str, PromptStep | FunctionStep] = {}
            for step_path in (p for p, m in steps if m.group(1) == folder):
                step_source = read_yaml(step_path, self.tree.files[step_path], self.faults)
                if step_source is None:
                    continue
                step = flows.step(step_source)
                if step.name in by_name:
                    step_source.error(
                        "name", "duplicate", f"There is already a step named {step.name!r} in flow {name!r}."
                    )
                by_name[step.name] = step
            step_functions[name] = self._in_flow(
                [(p, m.group(2)) for p, m in code if m.group(1) == folder], "step", name
            )
            flow_functions[name] = self._in_flow(
                [(p, m.group(2)) for p, m in own if m.group(1) == folder], "flow", name
            )
            by_name.update({stem: FunctionStep(name=stem) for stem in step_functions[name]})
            if start and start not in by_name:
                source.error("start_step", "unknown-reference", f"Flow {name!r} has no step {start!r} to start with.")
            found[name] = Flow(name=name, folder=folder, description=description, start_step=start, steps=by_name)
        return found, flow_functions, step_functions

    def _in_flow(self, files: list[tuple[str, str]], kind: Any, flow: str) -> dict[str, Function]:
        found = {}
        for path, stem in files:
            if stem != "__init__":
                function = functions.parse(path, self.tree.files[path], kind, flow, self.faults)
                if function is not None:
                    found[stem] = function
        return found

    def experimental(self) -> Any:
        content = self.tree.files.get(layout.EXPERIMENTAL)
        raw = read_json(layout.EXPERIMENTAL, content, self.faults) if content is not None else None
        return experimental.experimental(layout.EXPERIMENTAL, raw or {}, content or b"", self.faults)

    def test_groups(self) -> tuple[TestGroup, ...]:
        content = self.tree.files.get(layout.EXPERIMENTAL)
        raw = read_json(layout.EXPERIMENTAL, content, Faults()) if content is not None else None
        if not raw or "ab" not in raw:
            return ()
        return experimental.groups(layout.EXPERIMENTAL, raw, content or b"", self.faults)

    def real_time_config(self) -> dict[str, RealTimeConfig]:
        parts: dict[str, dict[str, Any]] = {}
        for path, match in self.matching(layout.REAL_TIME):
            value = read_json(path, self.tree.files[path], self.faults)
            parts.setdefault(match.group(1), {})[match.group(2)] = value or {}
        for name, found in parts.items():
            self._check_real_time(name, found)
        return {name: RealTimeConfig(**found) for name, found in parts.items()}

    def _check_real_time(self, name: str, found: dict[str, Any]) -> None:
        schema, data = (f"real_time_configuration/{name}/{kind}.json" for kind in ("schema", "data"))
        checked = real_time.check(found.get("schema", {}), found.get("data"))
        if checked.schema is not None:
            self.faults.error(schema, 1, "bad-schema", f"This is not a JSON Schema: {checked.schema}.")
        for problem in checked.data:
            self.faults.error(data, 1, "not-in-schema", f"The data does not fit its schema: {problem}.")

    def test_cases(self) -> tuple[TestCase, ...]:
        found = []
        for path, _ in self.matching(layout.TEST_CASE):
            source = read_yaml(path, self.tree.files[path], self.faults)
            if source is None:
                continue
            found.append(suite.case(source))
        return tuple(found)
