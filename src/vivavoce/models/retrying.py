"""Asks again when a model was away, slow or busy: a bounded number of times, waiting longer each time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from vivavoce.domain.conversation import ModelRequest
from vivavoce.models.interface import Chunk, Model, ModelError

ATTEMPTS = 3
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 5.0


class Retrying:
    def __init__(self, model: Model, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._model = model
        self._sleep = sleep

    @property
    def name(self) -> str:
        return self._model.name

    async def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        """Only before the first chunk: what was said cannot be unsaid."""
        for attempt in range(1, ATTEMPTS + 1):
            has_begun = False
            try:
                async for chunk in self._model.stream(request):
                    has_begun = True
                    yield chunk
                return
            except ModelError as error:
                if has_begun or not error.retryable or attempt == ATTEMPTS:
                    raise
                wait = error.retry_after if error.retry_after is not None else FIRST_WAIT_SECONDS * 4 ** (attempt - 1)
                if wait > LONGEST_WAIT_SECONDS:
                    raise  # a fallback, or an apology, serves the caller better than a long silence
            await self._sleep(wait)

    async def close(self) -> None:
        await self._model.close()
