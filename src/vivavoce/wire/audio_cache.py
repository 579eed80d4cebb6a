"""The audio cache. Entries have each key in both spellings: the contract's and the one that its command-line client reads."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from vivavoce.wire.times import Moment


class AudioCacheEntry(Struct, frozen=True, kw_only=True):
    """`duration` in seconds."""

    id: str
    transcript: str
    cachedAt: Moment
    cached_at: Moment
    hitCount: int
    hit_count: int
    duration: float
    regenerated: bool
    provider: str
    providerVoiceId: str
    provider_voice_id: str
    audioFilename: str | None
    audio_filename: str | None
    imported: bool
    languageCode: str = ""
    language_code: str = ""


class ListAudioCacheResponse(Struct, frozen=True, kw_only=True):
    entries: list[AudioCacheEntry]
    totalCount: int
    total_count: int


class VoiceTuningConfig(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What an engine is tuned by; each takes of it what it knows."""

    stability: float | None = None
    similarity_boost: float | None = None
    speed: float | None = None
    model_id: str | None = None
    engine: str | None = None
    emotion: str | None = None
    volume: float | None = None
    version: str | None = None
    voice_description: str | None = None
    instant_mode: bool | None = None


class SynthesizeAudioRequest(Struct, frozen=True, kw_only=True):
    text: str
    config: VoiceTuningConfig
    language: str | None = None


class AudioCacheSettings(Struct, frozen=True, kw_only=True):
    """The part `settings` of a form."""

    text: str | None = None
    config: VoiceTuningConfig | None = None


class BulkDeleteAudioCacheRequest(Struct, frozen=True, kw_only=True):
    ids: Annotated[list[str], Meta(min_length=1, max_length=20)]


class BulkDeleteAudioCacheResponse(Struct, frozen=True, kw_only=True):
    deleted: list[str]
    failed: list[str]


class DeleteAudioCacheEntryResponse(Struct, frozen=True, kw_only=True):
    success: bool


def parameters_of(config: VoiceTuningConfig) -> dict[str, Any]:
    """Under the names by which engines know them; what is not given is left out."""
    return {name: value for name, value in structs.asdict(config).items() if value is not None}
