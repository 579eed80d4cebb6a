"""Which request is being answered: one id that goes through answers, logs and traces."""

from __future__ import annotations

from contextvars import ContextVar

from msgspec import Struct


class Correlation(Struct, frozen=True):
    """`parent` is the trace that the caller is in, as W3C's `traceparent` has it; "" when it said nothing of one."""

    id: str = ""
    parent: str = ""


_NONE = Correlation()
current: ContextVar[Correlation] = ContextVar("correlation", default=_NONE)
