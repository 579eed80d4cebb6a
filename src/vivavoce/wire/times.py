"""The ways in which times are written, and how they are read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, TypeAlias

from msgspec import Meta

Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]  # with an offset
_LOST_PLUS = re.compile(r"(T\d\d.*) (\d\d(?::?\d\d)?)$")


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 with microseconds and an offset."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment is not None else None


def iso_naive(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def rfc1123(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def parse(text: str) -> datetime:
    """Any form of ISO 8601 with a date; without an offset it is UTC. Raises ValueError.

    A plus sign that was sent unescaped in a query has become a space; it is taken for what it was.
    """
    try:
        found = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text.strip()))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None
