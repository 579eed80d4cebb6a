"""Tries one model after another; the first that begins to answer is the one that answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

from vivavoce.domain.conversation import ModelRequest
from vivavoce.models.interface import Chunk, Model, ModelError, ModelUnavailable


class Fallback:
    def __init__(self, models: tuple[Model, ...]) -> None:
        self._models = models
        self.name = " > ".join(model.name for model in models)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        """Once text has come from a model, its failure is the answer's: half of one reply does not join another."""
        failure: ModelError | None = None
        for model in self._models:
            has_begun = False
            try:
                async for chunk in model.stream(request):
                    has_begun = True
                    yield chunk
                return
            except ModelError as error:
                if has_begun:
                    raise
                failure = error
        raise failure or ModelUnavailable("No model is configured.")

    async def close(self) -> None:
        for model in self._models:
            await model.close()
