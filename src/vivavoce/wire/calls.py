"""Calls over a socket: the invitation that lets one in."""

from __future__ import annotations

from msgspec import Struct

from vivavoce.wire.chat import OpeningBody


# A call brings its own channel: there is nothing more to say.
class CreateCallBody(OpeningBody, frozen=True, kw_only=True, rename="camel"): ...


class CreateCallResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """`path` is where the socket is opened, once, within `expiresInSeconds`."""

    conversation_id: str
    token: str
    path: str
    expires_in_seconds: float
