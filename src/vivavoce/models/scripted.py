"""A model that answers from rules in a YAML file: deterministic, for tests, demonstrations and benchmarks.

    rules:
      - when: {said: "book.*table", tool: start_booking}   # all that is given must hold
        call: {name: start_booking, arguments: {party_size: 4}}
      - when: {result_of: start_booking}
        say: "Booked!"
    otherwise: "I did not understand."

`said` is a regular expression on the user's last words, with its named groups available as {name} in `say` and in
arguments; `step`, `flow`, `tool` (one must be visible), `result_of` (the last message is its result), `result` (a regular
expression on that result), `turn` (how many user messages there are), `prompt` (on the first system part) narrow it down.
Rules are tried in order.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from ruamel.yaml import YAML

from vivavoce.domain.conversation import Message, ModelReply, ModelRequest, ToolCall
from vivavoce.errors import UsageError
from vivavoce.models.interface import Chunk, ModelRefused, ModelUnavailable, TextDelta


class Condition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    said: str | None = None
    flow: str | None = None
    step: str | None = None
    tool: str | None = None
    result_of: str | None = None
    result: str | None = None
    turn: int | None = None
    prompt: str | None = None


class Call(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] | str = {}


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    when: Condition = Condition()
    say: str = ""
    call: Call | None = None
    calls: tuple[Call, ...] = ()
    fail: str | None = None  # unavailable or refused: behaves as a model that is


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rules: tuple[Rule, ...]
    otherwise: str = "I did not understand that."


class ScriptedModel:
    def __init__(self, script: Script, name: str = "scripted") -> None:
        self._script = script
        self.name = name

    @classmethod
    def from_file(cls, path: Path) -> ScriptedModel:
        try:
            return cls(
                msgspec.convert(YAML(typ="safe", pure=True).load(path.read_text("utf-8")), Script),
                f"scripted:{path.name}",
            )
        except OSError as error:
            raise UsageError(f"The script {path} cannot be read: {error.strerror}.") from error
        except (msgspec.ValidationError, ValueError) as error:
            raise UsageError(f"The script {path} is not a script for a model: {error}") from error

    async def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        reply = self._reply(request)
        if reply.text:
            yield TextDelta(reply.text)
        yield reply

    async def close(self) -> None: ...

    def _reply(self, request: ModelRequest) -> ModelReply:
        # What the agent has said already in this turn does not change what is to be answered.
        heard = [m for m in request.history if m.role != "assistant"]
        last = heard[-1] if heard else Message(role="user")
        users = [m for m in request.history if m.role == "user"]
        for rule in self._script.rules:
            groups = _groups(rule.when, request, last, users)
            if groups is None:
                continue
            if rule.fail == "refused":
                raise ModelRefused(f"{self.name} was told to refuse.")
            if rule.fail:
                raise ModelUnavailable(f"{self.name} was told to fail.")
            wanted = (rule.call,) if rule.call is not None else rule.calls
            calls = tuple(
                ToolCall(
                    id=f"call_{len(request.history)}_{number}",
                    name=call.name,
                    arguments=_arguments(call.arguments, groups),
                )
                for number, call in enumerate(wanted)
            )
            return self._made(_filled(rule.say, groups), calls)
        return self._made(self._script.otherwise, ())

    def _made(self, text: str, calls: tuple[ToolCall, ...]) -> ModelReply:
        return ModelReply(text=text, calls=calls, finish_reason="tool_calls" if calls else "stop", model=self.name)


def _groups(when: Condition, request: ModelRequest, last: Message, users: list[Message]) -> dict[str, str] | None:
    """The named groups of the match, or None when the rule does not hold."""
    groups = {"result": last.content if last.role == "function" else ""}
    if when.result_of is not None:
        if last.role != "function" or last.name != when.result_of:
            return None
    elif last.role == "function" and when.result is None:
        return None  # rules about words are about the user's words, not about results
    if when.result is not None:
        match = re.search(when.result, last.content, re.IGNORECASE | re.DOTALL) if last.role == "function" else None
        if match is None:
            return None
        groups.update(_named(match))
    if when.said is not None:
        match = re.search(when.said, users[-1].content if users else "", re.IGNORECASE | re.DOTALL)
        if match is None:
            return None
        groups.update(_named(match))
    step = request.step
    if (when.flow is not None and (step is None or step.flow != when.flow)) or (
        when.step is not None and (step is None or step.step != when.step)
    ):
        return None
    if when.tool is not None and all(tool.name != when.tool for tool in request.tools):
        return None
    if when.turn is not None and len(users) != when.turn:
        return None
    if when.prompt is not None:
        text = request.system[0].content.text if request.system else ""
        match = re.search(when.prompt, text, re.IGNORECASE | re.DOTALL)
        if match is None:
            return None
        groups.update(_named(match))
    return groups


def _named(match: re.Match[str]) -> dict[str, str]:
    return {name: value or "" for name, value in match.groupdict().items()}


def _filled(text: str, groups: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda m: groups.get(m.group(1), m.group()), text) if "{" in text else text


def _arguments(given: dict[str, Any] | str, groups: dict[str, str]) -> str:
    if isinstance(given, str):
        return _filled(given, groups)  # as it stands: a model that writes broken JSON can be played too
    filled = {name: _filled(value, groups) if isinstance(value, str) else value for name, value in given.items()}
    return msgspec.json.encode(filled).decode()
