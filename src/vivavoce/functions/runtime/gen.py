"""The `_gen` module that agents import from: every name of the format, ours and working or plainly inert."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Literal

from vivavoce.functions.runtime import values
from vivavoce.functions.runtime.apis import ApiExecutor
from vivavoce.functions.runtime.conversation import (
    AgenticDial,
    AgentResponse,
    Conversation,
    ConversationLogger,
    Entities,
    ExternalEvents,
    Flow,
    Memory,
    ReadOnlyDict,
    TranslationReplacementProxy,
    UserInput,
    Variant,
    WebchatInterface,
)
from vivavoce.functions.runtime.executors import FlowFunctionExecutor, FunctionExecutor
from vivavoce.functions.runtime.state import State
from vivavoce.functions.runtime.utils import Utils


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def func_description(description: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Read from the source when the folder is loaded; at run time it changes nothing."""
    return _as_it_is


def func_parameter(name: str, description: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Read from the source when the folder is loaded; at run time it changes nothing."""
    return _as_it_is


def func_latency_control(
    delay_before_responses_start: int = 0,
    silence_after_each_response: int = 0,
    delay_responses: list[tuple[str, int]] | None = None,
    randomize: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Read from the source when the folder is loaded; at run time it changes nothing."""
    return _as_it_is


class EmotionKind(enum.Enum):
    ANGER = "anger"
    POSITIVITY = "positivity"
    SURPRISE = "surprise"
    SADNESS = "sadness"
    CURIOSITY = "curiosity"


class EmotionIntensity(enum.Enum):
    LOWEST = "lowest"
    LOW = "low"
    HIGH = "high"
    HIGHEST = "highest"


class EntityType(enum.Enum):
    NUMERIC = "numeric"
    ALPHANUMERIC = "alphanumeric"
    ENUM = "enum"
    DATE = "date"
    PHONE_NUMBER = "phone_number"
    TIME = "time"
    ADDRESS = "address"
    FREE_TEXT = "free_text"
    NAME = "name_config"


class NumericType(enum.Enum):
    INTEGER = "integer"
    FLOAT = "float"


class _Inert(values.Value):
    """A name that the format exports and nothing here gives or takes; it accepts anything."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__.update(kwargs)


def _inert(name: str) -> type:
    return type(name, (_Inert,), {"__doc__": "Importable; without effect."})


RealtimeConfig = ReadOnlyDict
EmotionKindValue = Literal["anger", "positivity", "surprise", "sadness", "curiosity"]
EmotionIntensityValue = Literal["lowest", "low", "high", "highest"]
VoiceType = values.TTSVoice
SupportedLanguageCodes = str

_OURS = (
    AgentResponse, AgenticDial, ApiExecutor, Conversation, ConversationLogger, Entities, ExternalEvents, Flow,
    FlowFunctionExecutor, FunctionExecutor, Memory, ReadOnlyDict, State, TranslationReplacementProxy, UserInput, Utils,
    Variant, WebchatInterface, func_description, func_latency_control, func_parameter, EmotionKind, EmotionIntensity,
    EntityType, NumericType,
)  # fmt: skip
_ALIASES = {
    "RealtimeConfig": RealtimeConfig,
    "EmotionKindValue": EmotionKindValue,
    "EmotionIntensityValue": EmotionIntensityValue,
    "VoiceType": VoiceType,
    "SupportedLanguageCodes": SupportedLanguageCodes,
}
_INERT = (
    "ApiIntegrationData", "SMSSentEvent", "SMSObj", "SMSClient", "TwilioSMSClient", "TelnyxSMSClient", "SMSCredentials",
    "SMSReceived", "Event", "Destination", "Destinations", "AgenticDialConfig",
    "AgenticDialData", "MessageToParent", "MessageToChild",
)  # fmt: skip

NAMES: dict[str, Any] = {thing.__name__: thing for thing in _OURS}
NAMES.update(
    {
        name: thing
        for name, thing in vars(values).items()
        if isinstance(thing, type)
        and issubclass(thing, (values.Value, Exception))
        and name not in ("Value", "RuntimeFailure")
    }
)
NAMES.update(_ALIASES)
NAMES.update({name: _inert(name) for name in _INERT})
