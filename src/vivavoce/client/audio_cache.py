"""Speech that an agent says again and again, kept as sound."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from types import NoneType

import msgspec

from vivavoce.client.operation import Given, Group, X, operation
from vivavoce.wire.audio_cache import (
    AudioCacheSettings,
    BulkDeleteAudioCacheRequest,
    BulkDeleteAudioCacheResponse,
    DeleteAudioCacheEntryResponse,
    ListAudioCacheResponse,
    SynthesizeAudioRequest,
    VoiceTuningConfig,
)

_PATH = "/v1/agents/{agentId}/audio-cache"
_ONE = _PATH + "/{entryId}"


class AudioCache(Group[X]):
    @operation("GET", _PATH, ListAudioCacheResponse)
    def list(
        self, agent_id: str, *, limit: int | None = None, offset: int | None = None, sort: str | None = None
    ) -> Given:
        """`sort`: hit_count, cached_at, duration or transcript, with :asc or :desc."""
        return Given((agent_id,), {"limit": limit, "offset": offset, "sort": sort})

    @operation("GET", _ONE + "/file", bytes, accept="audio/wav")
    def file(self, agent_id: str, entry_id: str) -> Given:
        """WAV."""
        return Given((agent_id, entry_id))

    @operation("PATCH", _ONE + "/file", NoneType)
    def put_file(self, agent_id: str, entry_id: str, file: bytes, *, filename: str | None = None) -> Given:
        """A recording of one's own in place of the synthetic voice: WAV, up to 6 MB."""
        name = {"X-Filename": filename} if filename is not None else {}
        return Given((agent_id, entry_id), body=file, headers={"Content-Type": "audio/wav", **name})

    @operation("PUT", _ONE + "/details", NoneType)
    def put_details(
        self,
        agent_id: str,
        entry_id: str,
        file: bytes,
        *,
        text: str | None = None,
        config: VoiceTuningConfig | None = None,
    ) -> Given:
        """Sound that was made again, with the words and the tuning that it was made with."""
        settings = msgspec.json.encode(AudioCacheSettings(text=text, config=config))
        boundary = f"vivavoce-{secrets.token_hex(16)}"
        parts = (
            _part(boundary, 'name="settings"', "application/json", settings)
            + _part(boundary, 'name="file"; filename="file.wav"', "audio/wav", file)
            + f"--{boundary}--\r\n".encode()
        )
        return Given(
            (agent_id, entry_id), body=parts, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )

    @operation("POST", _ONE + "/synthesize", bytes, accept="audio/wav")
    def synthesize(
        self,
        agent_id: str,
        entry_id: str,
        text: str,
        *,
        config: VoiceTuningConfig | None = None,
        language: str | None = None,
    ) -> Given:
        """What the entry would sound like with other words or another tuning, as WAV. Nothing is kept."""
        return Given(
            (agent_id, entry_id),
            body=SynthesizeAudioRequest(text=text, config=config or VoiceTuningConfig(), language=language),
        )

    @operation("DELETE", _ONE, DeleteAudioCacheEntryResponse)
    def remove(self, agent_id: str, entry_id: str) -> Given:
        return Given((agent_id, entry_id))

    @operation("POST", _PATH + "/bulk-delete", BulkDeleteAudioCacheResponse)
    def remove_many(self, agent_id: str, entry_ids: Sequence[str]) -> Given:
        """Up to 20; the answer names those that were there and those that were not."""
        return Given((agent_id,), body=BulkDeleteAudioCacheRequest(ids=[*entry_ids]))


def _part(boundary: str, disposition: str, kind: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {kind}\r\n\r\n"
    return head.encode() + content + b"\r\n"
