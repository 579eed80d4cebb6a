"""A line of work on an agent: a tree that changes step by step, and where it came from."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

MAIN = "main"
StepKind: TypeAlias = Literal["folder", "create", "edit", "merge", "sync"]


class Branch(Struct, frozen=True, kw_only=True):
    """`main` is the folder as it is served; every other one began as a copy of another, its parent, at one of its steps."""

    id: str
    name: str
    tree: str
    sequence: int  # of its last step
    parent: str | None = None
    parent_sequence: int = 0  # of the parent's step with which it was last the same, or merged
    base: str = ""  # the tree of that step: what both sides have changed since is compared with it
    created_at: datetime
    created_by: str
    updated_at: datetime
    tag: str | None = None
    archived_at: datetime | None = None
    ids: dict[str, str] = {}  # path of a part, where somebody else has chosen its id
    base_ids: dict[str, str] | None = None  # those of `base`; None where they were not kept yet


class Step(Struct, frozen=True, kw_only=True):
    """One change of a branch, and the tree that it came to."""

    branch: str
    sequence: int
    tree: str
    kind: StepKind
    at: datetime
    by: str
    message: str = ""
    other: str = ""  # the branch that was merged
