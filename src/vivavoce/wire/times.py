"""The two ways in which times are written."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 with microseconds and an offset."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment is not None else None


def iso_naive(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def rfc1123(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)
