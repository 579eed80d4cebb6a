"""The value classes of `_gen`: voices, messages, entities' configurations. They hold what they are given and say it back."""

from __future__ import annotations

from typing import Any


class Value:
    """Keeps its constructor's arguments as attributes; `to_dict` gives those that are set."""

    _fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if len(args) > len(self._fields):
            raise TypeError(
                f"{type(self).__name__}() takes at most {len(self._fields)} arguments, {len(args)} were given"
            )
        values = dict(zip(self._fields, args, strict=False))
        for name, value in kwargs.items():
            if name in values:
                raise TypeError(f"{type(self).__name__}() got {name!r} twice")
            if name not in self._fields:
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}")
            values[name] = value
        for name in self._fields:
            setattr(self, name, values.get(name))

    def to_dict(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in self._fields if getattr(self, name) is not None}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.to_dict().items())})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self).__name__, repr(self)))


def _plain(value: Any) -> Any:
    if isinstance(value, Value):
        return value.to_dict()
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


class TTSVoice(Value):
    provider = ""
    _fields: tuple[str, ...] = ("provider", "provider_voice_id", "config")

    def to_dict(self) -> dict[str, Any]:
        return {"provider": self.provider, **super().to_dict()}


class CustomVoice(TTSVoice):
    def __init__(self, provider: str, provider_voice_id: str, **kwargs: Any) -> None:
        super().__init__(provider, provider_voice_id, kwargs)


class ElevenLabsVoice(TTSVoice):
    provider = "elevenlabs"
    _fields = ("provider_voice_id", "similarity_boost", "stability", "model_id", "speed")


class RimeVoice(TTSVoice):
    provider = "rime"
    _fields = ("provider_voice_id", "speech_alpha", "model_id")


class CartesiaVoice(TTSVoice):
    provider = "cartesia"
    _fields = ("provider_voice_id", "speed", "emotions", "model_id", "volume", "emotion", "language")


class PlayHTVoice(TTSVoice):
    provider = "playht"
    _fields = (
        "provider_voice_id",
        "speed",
        "temperature",
        "emotion",
        "voice_guidance",
        "style_guidance",
        "voice_engine",
    )


class MinimaxVoice(TTSVoice):
    provider = "minimax"
    _fields = ("model_id", "voice_id", "speed", "vol", "pitch", "emotion")


class HumeVoice(TTSVoice):
    provider = "hume"
    _fields = ("provider_voice_id", "voice_description", "version", "instant_mode", "provider")


class GoogleVoice(TTSVoice):
    provider = "google"
    _fields = ("provider_voice_id", "gender")


class VoiceWeighting(Value):
    _fields = ("voice", "weight")


class Emotion(Value):
    _fields = ("kind", "intensity")


class Attachment(Value):
    _fields = ("content_url", "content_type", "title", "preview_image_url", "call_to_action")


class ChatCallAction(Value):
    _fields = ("contact_number", "title")


class SMSTemplate(Value):
    _fields = ("name", "content", "phone_number")


class OutgoingSMS(Value):
    _fields = ("to_number", "from_number", "content", "retry_count")


class OutgoingSMSTemplate(Value):
    _fields = ("to_number", "template", "retry_count")


class OutgoingEmail(Value):
    _fields = ("to", "body", "subject")


class HandoffConfig(Value):
    _fields = ("sip_type", "sip_config", "sip_headers")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HandoffConfig:
        return cls(**values)


class Handoff(Value):
    _fields = ("handoff", "reason", "destination")


class MetricEvent(Value):
    _fields = ("name", "value")


class ASRBiasing(Value):
    _fields = ("keywords", "custom_biases")


class EntityValidationResult(Value):
    _fields = ("id", "name", "valid", "value", "type", "error")


class Address(Value):
    _fields = ("street_number", "street_name", "city", "state", "postal_code", "country")


class GenericExternalEvent(Value):
    """What came in for an event; `received_at` is an ISO time."""

    _fields = ("id", "data", "received_at")


class FlowTransition(Value):
    _fields = ("goto_flow", "exit_flow")


class StepTransition(Value):
    _fields = ("goto_step",)


class Transition(Value):
    _fields = ("exit_flow", "goto_flow", "goto_step")

    def is_noop(self) -> bool:
        return not any(getattr(self, name) for name in self._fields)


class EntityConfig(Value):
    pass


class BaseRangeConfig(EntityConfig):
    _fields: tuple[str, ...] = ("min_inclusive", "max_inclusive")


class NonNegativeMaxRangeConfig(BaseRangeConfig):
    pass


class NumericConfig(BaseRangeConfig):
    _fields = ("min_inclusive", "max_inclusive", "numeric_type")


class QuantityConfig(NumericConfig):
    pass


class CurrencyConfig(NumericConfig):
    pass


class NameConfig(EntityConfig):
    pass


class FreeTextConfig(EntityConfig):
    pass


class AlphanumericConfig(EntityConfig):
    _fields = ("custom_regex", "capturing_group")


class EmailConfig(AlphanumericConfig):
    pass


class DateConfig(EntityConfig):
    _fields = ("day_first", "earliest_date_inclusive", "latest_date_inclusive")


class TimeConfig(EntityConfig):
    _fields = ("format", "earliest_time_inclusive", "latest_time_inclusive", "time_pivot")


class PhoneNumberConfig(EntityConfig):
    _fields = ("regions",)


class EnumConfig(EntityConfig):
    _fields = ("allowed_vals",)


CONFIGS = (
    NumericConfig, QuantityConfig, CurrencyConfig, NameConfig, FreeTextConfig, AlphanumericConfig, EmailConfig,
    DateConfig, TimeConfig, PhoneNumberConfig, EnumConfig,
)  # fmt: skip


class RuntimeFailure(Exception):
    """Root of the errors that `_gen` exports by name."""


class SMSIntegrationNotFound(RuntimeFailure): ...


class SMSMissingAssistantAccess(RuntimeFailure): ...


class SMSClientFailure(RuntimeFailure): ...


class MissingTemplate(RuntimeFailure): ...


class MissingHandoff(RuntimeFailure): ...


class ExtractionError(RuntimeFailure): ...


class SecretNotFound(RuntimeFailure): ...


class EffectUnsettled(RuntimeFailure): ...


class MissingAccess(RuntimeFailure): ...


class InvalidInput(RuntimeFailure): ...
