"""Flows and their steps, as the folder defines them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct


class Condition(Struct, frozen=True, kw_only=True):
    """One way out of a default step; `child` is None when it leaves the flow."""

    name: str
    description: str = ""
    child: str | None = None
    required_entities: tuple[str, ...] = ()


class AsrBiasing(Struct, frozen=True, kw_only=True):
    """What recognition is to expect: kinds of words, and words."""

    kinds: tuple[str, ...] = ()  # alphanumeric, name_spelling, numeric, party_size, ...
    custom_keywords: tuple[str, ...] = ()


class Dtmf(Struct, frozen=True, kw_only=True):
    """Keypad entry; 0 is the default time, and any number of digits."""

    inter_digit_timeout: float = 0  # seconds
    max_digits: int = 0
    end_key: str = "#"
    collect_while_agent_speaking: bool = False
    is_pii: bool = False


class Asr(Struct, frozen=True, kw_only=True):
    provider: str = ""
    model: str = ""


class Vad(Struct, frozen=True, kw_only=True):
    provider: str = ""
    start: float | None = None  # seconds of speech before it counts
    end: float | None = None  # seconds of silence before it is over
    speech_threshold: float | None = None
    silence_threshold: float | None = None


class StepSettings(Struct, frozen=True, kw_only=True):
    """Speech and model settings that hold while the step is active; None means the agent's own."""

    asr_biasing: AsrBiasing | None = None
    dtmf: Dtmf | None = None
    asr: Asr | None = None
    vad: Vad | None = None
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
    path: str = ""


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
