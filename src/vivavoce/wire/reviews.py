"""Notes, tags and annotations, as they are sent."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from vivavoce.domain.record import AnnotationType, BadReason, Role
from vivavoce.wire.times import Moment


class AnnotationItem(Struct, frozen=True, kw_only=True, rename="camel"):
    """`turnId` counts from 0, the greeting. Reasons and text are ours, as are the types good_response, bad_response and other."""

    turn_id: int
    role: Role
    annotation_type: AnnotationType
    reasons: list[BadReason] = []
    text: str = ""


class AddAnnotationsBody(Struct, frozen=True, kw_only=True):
    annotations: Annotated[list[AnnotationItem], Meta(min_length=1, max_length=1000)]


class AnnotationResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    turn_id: int  # counts from 0
    role: Role
    annotation_type: AnnotationType
    reasons: list[BadReason] = []
    text: str = ""
    author: str
    created_at: Moment


class AnnotationsResponse(Struct, frozen=True, kw_only=True):
    annotations: list[AnnotationResponse]


class OperationSuccessResponse(Struct, frozen=True, kw_only=True):
    success: bool = True


class AddAnnotationsResponse(OperationSuccessResponse, frozen=True, kw_only=True):
    """`annotations` as they are kept, ours."""

    annotations: list[AnnotationResponse] = []


class UpsertNoteBody(Struct, frozen=True, kw_only=True):
    note: Annotated[str, Meta(extra_json_schema={"maxLength": 100_000, "pattern": "^[^\\x00]*$"})]


class TagsBody(Struct, frozen=True, kw_only=True):
    tags: Annotated[
        list[Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 100, "pattern": "\\S"})]],
        Meta(extra_json_schema={"maxItems": 50}),
    ]
