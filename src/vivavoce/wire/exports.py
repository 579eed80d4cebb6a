"""Import, as it is asked and answered."""

from __future__ import annotations

from msgspec import Raw, Struct


class ImportBody(Struct, frozen=True, kw_only=True):
    """Lines of an export, but for the last, which is its signature."""

    records: list[Raw]


class ImportResponse(Struct, frozen=True, kw_only=True):
    imported: int
    skipped: dict[str, str]
