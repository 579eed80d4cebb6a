"""Trees and what serves them."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Tree(Struct, frozen=True, kw_only=True):
    """The immutable content of a folder: path -> bytes, named by its hash."""

    hash: str
    files: dict[str, bytes]


class Deployment(Struct, frozen=True, kw_only=True):
    """A tree that serves, or has served, an environment of an agent."""

    id: str
    account_id: str
    agent_id: str
    environment: str
    tree: str
    created_at: datetime
