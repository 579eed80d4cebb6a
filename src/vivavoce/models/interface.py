"""What the engine asks of a language model: a structured request in, text as it comes, one reply at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, TypeAlias

from msgspec import Struct

from vivavoce.domain.conversation import ModelReply, ModelRequest
from vivavoce.errors import VivavoceError


class TextDelta(Struct, frozen=True):
    text: str


Chunk: TypeAlias = TextDelta | ModelReply  # the reply comes last, with the whole text


class ModelError(VivavoceError):
    """A model did not answer, or not with anything usable."""

    code = "MODEL_FAILED"
    status = 502


class ModelUnavailable(ModelError):
    """Worth another try: the model was away, slow or busy."""

    code = "MODEL_UNAVAILABLE"
    retryable = True


class ModelRefused(ModelError):
    """The provider would not take the request: a wrong key, a wrong model name, a request too large."""

    code = "MODEL_REFUSED"


class Model(Protocol):
    @property
    def name(self) -> str:
        """As it is recorded: `provider:model`."""
        ...

    def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        """Text deltas, then exactly one ModelReply. Raises a ModelError."""
        ...

    async def close(self) -> None: ...


async def complete(model: Model, request: ModelRequest) -> ModelReply:
    """The reply alone, for callers that do not stream."""
    async for chunk in model.stream(request):
        if isinstance(chunk, ModelReply):
            return chunk
    raise ModelUnavailable(f"{model.name} ended its answer without completing it.")
