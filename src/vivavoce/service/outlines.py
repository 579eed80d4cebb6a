"""The outlines of recordings, for drawing them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from vivavoce.audio import pcm, wav
from vivavoce.audio.peaks import Outline
from vivavoce.service.recordings import Sound

POINTS = 1_200  # of an outline
MOST_OUTLINES = 64  # that are kept


class Outlines:
    """The outlines of recordings that were drawn lately, since computing one reads all of it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, list[list[float]]] = OrderedDict()

    async def of(self, sound: Sound) -> tuple[list[list[float]], float]:
        """(for caller and agent values from 0 to 1, the seconds that they stand for)."""
        samples = (sound.size - wav.HEADER_BYTES) // (2 * pcm.SAMPLE_BYTES)
        found = self._kept.get(sound.etag)
        if found is None:
            outline = Outline(channels=2, samples=samples, points=POINTS)
            async for piece in sound.read(wav.HEADER_BYTES, sound.size - wav.HEADER_BYTES):
                await asyncio.to_thread(outline.add, piece)
            found = self._kept[sound.etag] = outline.peaks
        self._kept.move_to_end(sound.etag)
        while len(self._kept) > MOST_OUTLINES:
            self._kept.popitem(last=False)
        return found, samples / pcm.RATE

    def forget(self) -> None:
        self._kept.clear()
