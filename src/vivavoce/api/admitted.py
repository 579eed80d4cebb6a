"""The gate before every door: lets in what can be done, and says to the rest when to come again."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from vivavoce.api import problems
from vivavoce.service.admission import Admission, Overloaded

ALWAYS_ANSWERED = frozenset(("/healthz", "/readyz", "/metrics"))


class Admitted:
    """Lets in what can be done. Whoever asks how the server is gets an answer however much there is to do."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS_ANSWERED:
            await self._app(scope, receive, send)
            return
        try:
            async with self._admission.let_in():
                await self._app(scope, receive, send)
        except Overloaded as error:
            await problems.of_error(Request(scope), error)(scope, receive, send)
