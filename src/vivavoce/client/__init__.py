"""The Python client of the API: `Client` waits, `AsyncClient` is awaited, and both have the same operations."""

from vivavoce.client.client import AsyncClient, Client
from vivavoce.client.conversations import Filters
from vivavoce.client.errors import AnswerInvalid, ApiError, ClientError, ConnectionFailed
from vivavoce.wire.audio_cache import VoiceTuningConfig
from vivavoce.wire.redaction import PatternItem
from vivavoce.wire.reviews import AnnotationItem

__all__ = [
    "AnnotationItem",
    "AnswerInvalid",
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "Filters",
    "PatternItem",
    "VoiceTuningConfig",
]
