"""What the user hears while they wait: delay messages of a slow function, fillers of a slow turn."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Iterator
from time import perf_counter
from typing import TypeAlias, TypeVar

from vivavoce.domain.agent import DelayControl, Fillers
from vivavoce.domain.conversation import Interim
from vivavoce.engine.progress import Finished, InterimSpoken, Progress, TextReleased

T = TypeVar("T")
Schedule: TypeAlias = Iterator[tuple[float, str]]  # (seconds after the one before, text)


def delays(control: DelayControl) -> Schedule:
    """The first after `start_after`; each next one when the one before has been spoken and the silence is over."""
    wait = control.start_after
    for text, duration in control.messages:
        yield wait, text
        wait = duration + control.silence_between


def fillers(settings: Fillers, language: str, seed: int) -> Schedule:
    """Without end; every text once before any comes again."""
    texts = settings.texts.get(language) or settings.texts.get(language.split("-")[0]) or settings.texts.get("") or ()
    if not texts:
        return
    chance = random.Random(seed)  # noqa: S311  # which filler is said is no secret
    wait = settings.first_after
    while True:
        order = list(texts)
        if settings.is_random:
            chance.shuffle(order)
        for text in order:
            yield wait, text
            wait = settings.interval


async def waiting(work: Awaitable[T], schedule: Schedule, spoken: list[Interim]) -> AsyncIterator[InterimSpoken]:
    """Yields what is to be said until the work is done; `spoken` gets it for the record. The work's result is left to it."""
    began = perf_counter()
    task = asyncio.ensure_future(work)
    due = 0.0
    try:
        for wait, text in schedule:
            due += wait
            done, _ = await asyncio.wait({task}, timeout=max(0.0, due - (perf_counter() - began)))
            if done:
                return
            spoken.append(Interim(text=text, at=round(perf_counter() - began, 3)))
            yield InterimSpoken(text)
        await asyncio.wait({task})
    finally:
        if not task.done():
            task.cancel()


async def filled(source: AsyncIterator[Progress], schedule: Schedule, spoken: list[Interim]) -> AsyncIterator[Progress]:
    """The turn's own progress, with fillers for as long as nothing has been said."""
    began = perf_counter()
    due = 0.0
    upcoming = next(schedule, None)
    if upcoming is not None:
        due = upcoming[0]
    step: asyncio.Task[Progress] | None = None
    iterator = aiter(source)
    try:
        while True:
            if step is None:
                step = asyncio.ensure_future(_next(iterator))
            left = None if upcoming is None else max(0.0, due - (perf_counter() - began))
            done, _ = await asyncio.wait({step}, timeout=left)
            if not done:
                assert upcoming is not None
                spoken.append(Interim(text=upcoming[1], at=round(perf_counter() - began, 3)))
                yield InterimSpoken(upcoming[1])
                upcoming = next(schedule, None)
                due += upcoming[0] if upcoming is not None else 0
                continue
            try:
                progress = step.result()
            except StopAsyncIteration:
                return
            step = None
            if isinstance(progress, (TextReleased, Finished)):
                upcoming = None
            yield progress
    finally:
        if step is not None and not step.done():
            step.cancel()


async def _next(iterator: AsyncIterator[Progress]) -> Progress:
    return await anext(iterator)
