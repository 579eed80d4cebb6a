"""A synthesizer that does not make again what it has made: some other place keeps the sound."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Protocol

from vivavoce.errors import VivavoceError
from vivavoce.speech.fallback import engine_of
from vivavoce.speech.interface import Sound, Synthesizer, Voice

log = logging.getLogger(__name__)


class Cache(Protocol):
    async def find(self, text: str, voice: Voice, engine: str) -> Sound | None:
        """As `engine` speaks it, or whoever else was chosen for these words."""
        ...

    def made(self, text: str, voice: Voice, sound: Sound) -> None:
        """Told of all that was made, whether it is worth keeping or not. Returns at once: the next sentence waits."""
        ...


class CachedSynthesizer:
    def __init__(self, inner: Synthesizer, cache: Cache) -> None:
        self.name = inner.name
        self.provider = inner.provider
        self._inner = inner
        self._cache = cache

    async def speak(self, text: str, voice: Voice) -> AsyncIterator[Sound]:
        known = await self._found(text, voice)
        if known is not None:
            yield known
            return
        made, engine = bytearray(), ""
        source = self._inner.speak(text, voice)
        async with aclosing(source):  # type: ignore[type-var]  # an async generator, whose request ends with it
            async for sound in source:
                if engine and sound.engine != engine:
                    made.clear()
                engine = sound.engine
                made += sound.pcm
                yield sound
        if engine == engine_of(self._inner, voice):  # not one that stood in for it
            self._cache.made(text, voice, Sound(bytes(made), engine))

    async def _found(self, text: str, voice: Voice) -> Sound | None:
        """A cache that cannot be asked is an empty one."""
        try:
            return await self._cache.find(text, voice, engine_of(self._inner, voice))
        except VivavoceError as error:
            log.warning("the audio cache could not be asked: %s", error.code)
            return None

    async def close(self) -> None:
        await self._inner.close()
