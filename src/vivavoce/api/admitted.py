"""The gate before every door: lets in what can be done, and says to the rest when to come again."""

from __future__ import annotations

from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vivavoce.api import problems
from vivavoce.service.admission import Admission, Overloaded

ALWAYS_ANSWERED = frozenset(("/healthz", "/readyz", "/metrics"))


class Admitted:
    """Lets in what can be done. Whoever asks how the server is gets an answer however much there is to do.

    A request that comes with a body is let in when all of it is there: who sends slowly takes nobody's place.
    """

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS_ANSWERED:
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def receiving() -> Message:
            nonlocal has_begun
            message = await receive()
            if not has_begun and message["type"] == "http.request" and not message.get("more_body"):
                has_begun = True
                await place.enter_async_context(self._admission.let_in())
            return message

        try:
            async with AsyncExitStack() as place:
                if not _has_body(scope):
                    has_begun = True
                    await place.enter_async_context(self._admission.let_in())
                await self._app(scope, receiving, send)
        except Overloaded as error:
            await problems.of_error(Request(scope), error)(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    """That anybody would read."""
    return scope["method"] not in ("GET", "HEAD", "OPTIONS") and any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip() not in (b"", b"0"))
        for name, value in scope["headers"]
    )
