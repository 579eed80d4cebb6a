"""Calls over a socket: the invitation that lets one in."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class CreateCallBody(Struct, frozen=True, kw_only=True, rename="camel"):
    client_env: str
    conversation_id: str | None = None
    variant_id: str | None = None
    asr_lang_code: str | None = None
    tts_lang_code: str | None = None
    caller_number: str | None = None
    callee_number: str | None = None
    sip_headers: dict[str, str] | None = None
    integration_attributes: dict[str, Any] | None = None


class CreateCallResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """`path` is where the socket is opened, once, within `expiresInSeconds`."""

    conversation_id: str
    token: str
    path: str
    expires_in_seconds: float
