"""Notes, tags and annotations, as they are sent."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from vivavoce.domain.record import AnnotationType, BadReason, Role


class AnnotationItem(Struct, frozen=True, kw_only=True, rename="camel"):
    """`turnId` counts from 0, the greeting. Reasons and text are ours, as are the types good_response, bad_response and other."""

    turn_id: int
    role: Role
    annotation_type: AnnotationType
    reasons: list[BadReason] = []
    text: str = ""


class AddAnnotationsBody(Struct, frozen=True, kw_only=True):
    annotations: Annotated[list[AnnotationItem], Meta(min_length=1, max_length=1000)]


class AnnotationsResponse(Struct, frozen=True, kw_only=True):
    annotations: list[dict[str, Any]]


class OperationSuccessResponse(Struct, frozen=True, kw_only=True):
    success: bool = True


class UpsertNoteBody(Struct, frozen=True, kw_only=True):
    note: str


class TagsBody(Struct, frozen=True, kw_only=True):
    tags: list[str]
