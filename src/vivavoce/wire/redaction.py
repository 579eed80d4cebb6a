"""An agent's own redaction rules, and how far they have gone over the record, as they are sent."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from vivavoce.wire.times import Moment

_Category = Annotated[str, Meta(extra_json_schema={"pattern": "^[a-z][a-z0-9_]{0,39}$"})]


class PatternItem(Struct, frozen=True, kw_only=True):
    """What the regular expression matches, whatever its case, is hidden as `[CATEGORY]`."""

    category: _Category
    pattern: Annotated[str, Meta(extra_json_schema={"maxLength": 500})]


class RedactionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`keep` are texts that are nobody's, such as the names of the house; `shown` are categories that are not hidden."""

    patterns: Annotated[list[PatternItem], Meta(extra_json_schema={"maxItems": 50})] = []
    keep: Annotated[
        list[Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 200, "pattern": "\\S"})]],
        Meta(extra_json_schema={"maxItems": 1000}),
    ] = []
    shown: list[_Category] = []


class RedactionRunResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    """`finishedAt` null: it still goes on."""

    conversations: int  # that were there when it began
    done: int
    started_at: Moment
    finished_at: Moment | None = None


class RedactionResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    patterns: list[PatternItem]
    keep: list[str]
    shown: list[str]
    run: RedactionRunResponse | None = None  # the last one
