"""Flows and their steps, as the folder defines them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct


class Condition(Struct, frozen=True, kw_only=True):
    """One way out of a default step; `child` is None when it leaves the flow."""

    name: str
    description: str = ""
    child: str | None = None
    required_entities: tuple[str, ...] = ()


class StepSettings(Struct, frozen=True, kw_only=True):
    """Speech and model settings that hold while the step is active; None means the agent's own."""

    asr_biasing: dict[str, Any] | None = None
    dtmf: dict[str, Any] | None = None
    asr: dict[str, Any] | None = None
    vad: dict[str, Any] | None = None
    barge_in: bool | None = None
    model: str | None = None
    reasoning_effort: str | None = None


class PromptStep(Struct, frozen=True, kw_only=True, tag="prompt"):
    """A step in which the model speaks: `advanced` steps name their functions, `default` steps extract entities."""

    name: str
    kind: Literal["advanced", "default"]
    prompt: str
    functions: tuple[str, ...] = ()  # referenced with {{ft:}}
    global_functions: tuple[str, ...] = ()  # referenced with {{fn:}}
    conditions: tuple[Condition, ...] = ()
    extracted_entities: tuple[str, ...] = ()
    settings: StepSettings = StepSettings()


class FunctionStep(Struct, frozen=True, kw_only=True, tag="function"):
    """A step that is code; its name is its file's stem."""

    name: str


Step: TypeAlias = PromptStep | FunctionStep


class Flow(Struct, frozen=True, kw_only=True):
    name: str
    folder: str
    description: str = ""
    start_step: str
    steps: dict[str, PromptStep | FunctionStep] = {}
