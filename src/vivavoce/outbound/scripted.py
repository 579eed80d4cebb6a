"""Answers prepared beforehand, for tests and replays; what was asked is kept."""

from __future__ import annotations

from collections.abc import Callable

from vivavoce.outbound.interface import Request, Response


class ScriptedOutbound:
    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self._answer = answer
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        return self._answer(request)

    async def close(self) -> None: ...
