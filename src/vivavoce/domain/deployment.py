"""Trees and what serves them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

DeploymentKind: TypeAlias = Literal["draft", "publish", "promotion", "rollback"]
VERSION_LENGTH = 32  # hexadecimal digits of a tree's hash by which its version is called


class Tree(Struct, frozen=True, kw_only=True):
    """The immutable content of a folder: path -> bytes, named by its hash."""

    hash: str
    files: dict[str, bytes]


class Deployment(Struct, frozen=True, kw_only=True):
    """A tree that serves an environment of an agent, or has: the newest of an environment serves it."""

    id: str
    account_id: str
    agent_id: str
    environment: str
    tree: str
    created_at: datetime
    kind: DeploymentKind = "draft"
    created_by: str = ""
    message: str = ""
    source: str | None = None  # the deployment that was promoted, or gone back to
    git_commit: str | None = None  # at which the author's repository stood

    @property
    def version(self) -> str:
        """The same for the same files, wherever they are deployed."""
        return self.tree[:VERSION_LENGTH]
