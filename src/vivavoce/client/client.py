"""The whole API under one name: a blocking client and an awaited one, with the same operations."""

from __future__ import annotations

from types import TracebackType
from typing import Generic, Self

from vivavoce.client.ab_tests import AbTests
from vivavoce.client.agents import Agents
from vivavoce.client.audio_cache import AudioCache
from vivavoce.client.branches import Branches
from vivavoce.client.chats import Chats
from vivavoce.client.conversations import Conversations
from vivavoce.client.deployments import Deployments
from vivavoce.client.operation import Awaiting, Blocking, X
from vivavoce.client.server import Server
from vivavoce.client.transcripts import Transcripts
from vivavoce.client.transports import ATTEMPTS, AwaitingTransport, BlockingTransport

TIMEOUT_SECONDS = 120.0  # between two pieces of an answer: a turn waits for its model


class _Resources(Generic[X]):
    def __init__(self, transport: X) -> None:
        self.chats = Chats(transport)
        self.conversations = Conversations(transport)
        self.transcripts = Transcripts(transport)
        self.agents = Agents(transport)
        self.branches = Branches(transport)
        self.deployments = Deployments(transport)
        self.ab_tests = AbTests(transport)
        self.audio_cache = AudioCache(transport)
        self.server = Server(transport)


class Client(_Resources[Blocking]):
    """Waits for each answer. Close it, or use it in a `with`. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        author: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        attempts: int = ATTEMPTS,
    ) -> None:
        """`author` is the person in whose name notes and annotations are made; without one it is the key."""
        self._wire = BlockingTransport(url, _headers(api_key, author), timeout=timeout, attempts=attempts)
        super().__init__(self._wire)

    def close(self) -> None:
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Resources[Awaiting]):
    """The same, awaited; lists and exports are async iterators. Belongs to one event loop."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        author: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._wire = AwaitingTransport(url, _headers(api_key, author), timeout=timeout, attempts=attempts)
        super().__init__(self._wire)

    async def close(self) -> None:
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _headers(api_key: str, author: str | None) -> dict[str, str]:
    return {"X-API-KEY": api_key, **({"X-PolyAI-Email": author} if author else {})}
