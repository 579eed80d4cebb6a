"""The audio cache. Entries have each key in both spellings: the contract's and the one that its command-line client reads."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

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
    languageCode: str
    language_code: str


class ListAudioCacheResponse(Struct, frozen=True, kw_only=True):
    entries: list[AudioCacheEntry]
    totalCount: int
    total_count: int


class SynthesizeAudioRequest(Struct, frozen=True, kw_only=True):
    text: str
    config: dict[str, Any]
    language: str | None = None


class AudioCacheSettings(Struct, frozen=True, kw_only=True):
    """The part `settings` of a form."""

    text: str | None = None
    config: dict[str, Any] | None = None


class BulkDeleteAudioCacheRequest(Struct, frozen=True, kw_only=True):
    ids: Annotated[list[str], Meta(min_length=1, max_length=20)]


class BulkDeleteAudioCacheResponse(Struct, frozen=True, kw_only=True):
    deleted: list[str]
    failed: list[str]


class DeleteAudioCacheEntryResponse(Struct, frozen=True, kw_only=True):
    success: bool = True


# The contract's names of what an engine is tuned by, and the engines' own.
_TUNING = {
    "stability": "stability", "similarityBoost": "similarity_boost", "speed": "speed", "modelId": "model_id",
    "emotion": "emotion", "volume": "volume", "version": "version", "voiceDescription": "voice_description",
}  # fmt: skip


def parameters_of(config: dict[str, Any]) -> dict[str, Any]:
    """Of those that are known, numbers and short texts."""
    found = {}
    for given, value in config.items():
        name = _TUNING.get(given, given if given in _TUNING.values() else None)
        is_plain = isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= 200)
        if name is not None and is_plain:
            found[name] = value
    return found
