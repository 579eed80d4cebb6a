"""Parts of an agent as they are listed and changed one by one, and the agent itself in a list."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class TopicPart(Struct, frozen=True, kw_only=True):
    id: str
    path: str
    name: str
    content: str = ""
    actions: str = ""
    example_queries: tuple[str, ...] = ()
    enabled: bool = True


class VariantPart(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    is_default: bool
    values: dict[str, str]  # by the id of the attribute


class AttributePart(Struct, frozen=True, kw_only=True):
    id: str
    name: str


class AgentSummary(Struct, frozen=True, kw_only=True):
    account_id: str
    agent_id: str
    name: str
    created_at: datetime
    updated_at: datetime
    branches: int  # without main
