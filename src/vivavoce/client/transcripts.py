"""Versions 3 and 1 of the list, with whole transcripts; and how many conversations went on at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypedDict, Unpack

from vivavoce.client.operation import Given, Group, X, lines, operation
from vivavoce.wire.conversations_v3 import (
    ConcurrencyResponse,
    ConversationV3,
    GetConversationsV1Response,
    GetConversationsV3Response,
)

_V3 = "/v3/{account_id}/{project_id}/conversations"
_V1 = "/v1/{account_id}/{project_id}/conversations"


class Wanted(TypedDict, total=False):
    """Which conversations. `client_env` is live where nothing is said."""

    start_time: datetime | str
    end_time: datetime | str
    client_env: str
    variant_id: str
    variant_name: str
    in_progress: bool


class Transcripts(Group[X]):
    @operation("GET", _V3, GetConversationsV3Response)
    def list(
        self,
        account_id: str,
        agent_id: str,
        *,
        channel: str | Sequence[str] | None = None,
        query: str | None = None,
        query_type: Literal["transcript", "semantic"] | None = None,
        turn_type: Literal["user", "agent"] | None = None,
        sample: Literal["random"] | None = None,
        include_latency: bool | None = None,
        limit: int | None = None,
        offset: int | None = None,
        cursor: str | None = None,
        **wanted: Unpack[Wanted],
    ) -> Given:
        """One page, oldest first."""
        more = {
            "channel": channel,
            "query": query,
            "query_type": query_type,
            "turn_type": turn_type,
            "sample": sample,
            "include_latency": include_latency,
            "limit": limit,
            "offset": offset,
            "cursor": cursor,
        }
        return Given((account_id, agent_id), {**wanted, **more})

    @lines("GET", _V3, ConversationV3)
    def all(
        self,
        account_id: str,
        agent_id: str,
        *,
        channel: str | Sequence[str] | None = None,
        include_latency: bool | None = None,
        **wanted: Unpack[Wanted],
    ) -> Given:
        """Every one of them, as they arrive."""
        return Given((account_id, agent_id), {**wanted, "channel": channel, "include_latency": include_latency})

    @operation("GET", _V3 + "/{conversation_id}", ConversationV3)
    def get(
        self, account_id: str, agent_id: str, conversation_id: str, *, include_latency: bool | None = None
    ) -> Given:
        return Given((account_id, agent_id, conversation_id), {"include_latency": include_latency})

    @operation("GET", _V1, GetConversationsV1Response)
    def list_v1(
        self,
        account_id: str,
        agent_id: str,
        *,
        limit: int | None = None,
        offset: int | None = None,
        **wanted: Unpack[Wanted],
    ) -> Given:
        """The older list, by offset only."""
        return Given((account_id, agent_id), {**wanted, "limit": limit, "offset": offset})

    @operation("GET", _V1 + "/concurrency", ConcurrencyResponse)
    def concurrency(
        self,
        account_id: str,
        agent_id: str,
        start_time: datetime | str,
        end_time: datetime | str,
        *,
        client_env: str | None = None,
        variant_id: str | None = None,
        language: str | None = None,
        phone_number: str | None = None,
        slice_by: Sequence[str] = (),
    ) -> Given:
        """The most at once, in each five minutes."""
        query = {
            "start_time": start_time,
            "end_time": end_time,
            "client_env": client_env,
            "variant_id": variant_id,
            "language": language,
            "phone_number": phone_number,
            "slice_by": ",".join(slice_by) or None,
        }
        return Given((account_id, agent_id), query)
