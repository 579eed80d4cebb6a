"""The record of an agent's conversations: found, read, reviewed, erased."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import NoneType
from typing import Any, Literal, TypedDict, Unpack

from vivavoce.client.operation import Given, Group, X, lines, operation
from vivavoce.wire.conversations import (
    ConversationDetailResponse,
    ConversationSummaryResponse,
    GetConversationsResponse,
)
from vivavoce.wire.erasure import ReceiptResponse
from vivavoce.wire.reviews import (
    AddAnnotationsBody,
    AddAnnotationsResponse,
    AnnotationItem,
    AnnotationsResponse,
    OperationSuccessResponse,
    TagsBody,
    UpsertNoteBody,
)

_LIST = "/v1/agents/{agentId}/conversations"
_ONE = "/v1/agents/{agentId}/conversations/{conversationId}"


class Filters(TypedDict, total=False):
    """Which conversations. Values of one filter are alternatives; filters must all hold. Durations are seconds."""

    start_time: datetime | str
    end_time: datetime | str  # exclusive
    client_env: str | Sequence[str]
    channel: str | Sequence[str]
    variant_id: str | Sequence[str]
    deployment_id: str | Sequence[str]
    language: str | Sequence[str]
    direction: str | Sequence[str]
    test_group: str | Sequence[str]
    handoff: bool
    handoff_destination: str | Sequence[str]
    tag: str | Sequence[str]
    annotation: str | Sequence[str]
    function: str | Sequence[str]
    metric: str | Sequence[str]  # NAME, or NAME:VALUE
    contact: str | Sequence[str]
    in_progress: bool
    min_score: int
    max_score: int
    min_duration: int
    max_duration: int


def query_of(filters: Filters, **more: Any) -> dict[str, Any]:
    """The same under the names of the query."""
    return {_camel(name): value for name, value in {**filters, **more}.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class Conversations(Group[X]):
    @operation("GET", _LIST, GetConversationsResponse)
    def list(
        self,
        agent_id: str,
        *,
        limit: int | None = None,
        offset: int | None = None,
        cursor: str | None = None,
        sort: str | None = None,
        **filters: Unpack[Filters],
    ) -> Given:
        """One page, newest first. `sort`: startedAt, duration or polyScore, with - for descending."""
        return Given((agent_id,), query_of(filters, limit=limit, offset=offset, cursor=cursor, sort=sort))

    @lines("GET", _LIST, ConversationSummaryResponse)
    def all(self, agent_id: str, *, sort: str | None = None, **filters: Unpack[Filters]) -> Given:
        """Every one of them, one after another as they arrive."""
        return Given((agent_id,), query_of(filters, sort=sort))

    @operation("GET", _LIST, GetConversationsResponse)
    def search(
        self,
        agent_id: str,
        query: str,
        *,
        by: Literal["words", "meaning"] = "words",
        turn_type: Literal["user", "agent"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **filters: Unpack[Filters],
    ) -> Given:
        """Those in which it was said, with `matches`; or those nearest in meaning, best first."""
        kind = "transcript" if by == "words" else "semantic"
        more = {"query": query, "query_type": kind, "turn_type": turn_type, "limit": limit, "cursor": cursor}
        return Given((agent_id,), query_of(filters, **more))

    @operation("GET", _LIST, GetConversationsResponse)
    def sample(self, agent_id: str, *, limit: int | None = None, **filters: Unpack[Filters]) -> Given:
        """So many at random."""
        return Given((agent_id,), query_of(filters, sample="random", limit=limit))

    @operation("GET", _ONE, ConversationDetailResponse)
    def get(self, agent_id: str, conversation_id: str) -> Given:
        """One with its turns."""
        return Given((agent_id, conversation_id))

    @operation("GET", _ONE + "/audio", bytes, accept="audio/wav")
    def audio(
        self,
        agent_id: str,
        conversation_id: str,
        *,
        direction: Literal["combined", "user", "agent"] | None = None,
        redacted: bool | None = None,
        channels: Literal[1, 2] | None = None,
    ) -> Given:
        """The recording of a call, as WAV. ApiError CONVERSATIONS_RECORDING_NOT_FOUND where there is none."""
        return Given((agent_id, conversation_id), {"direction": direction, "redacted": redacted, "channels": channels})

    @operation("GET", _ONE + "/turns/{turnIndex}/audio", bytes, accept="audio/wav")
    def turn_audio(
        self,
        agent_id: str,
        conversation_id: str,
        turn: int,
        *,
        direction: Literal["combined", "user", "agent"] | None = None,
        redacted: bool | None = None,
    ) -> Given:
        """One turn of a call as it was recorded; of a text conversation the agent's reply, spoken."""
        return Given((agent_id, conversation_id, str(turn)), {"direction": direction, "redacted": redacted})

    @operation("POST", _ONE + "/note", OperationSuccessResponse)
    def put_note(self, agent_id: str, conversation_id: str, note: str) -> Given:
        """Replaces the note; an empty one takes it away."""
        return Given((agent_id, conversation_id), body=UpsertNoteBody(note=note))

    @operation("PUT", _ONE + "/tags", TagsBody)
    def put_tags(self, agent_id: str, conversation_id: str, tags: Sequence[str]) -> Given:
        """Replaces the tags; the answer is what is kept."""
        return Given((agent_id, conversation_id), body=TagsBody(tags=[*tags]))

    @operation("POST", _ONE + "/annotation", AddAnnotationsResponse)
    def annotate(self, agent_id: str, conversation_id: str, *annotations: AnnotationItem) -> Given:
        """Marks turns, all of them or none. The same mark by the same author replaces the one before."""
        return Given((agent_id, conversation_id), body=AddAnnotationsBody(annotations=[*annotations]))

    @operation("GET", _ONE + "/annotation", AnnotationsResponse)
    def annotations(self, agent_id: str, conversation_id: str) -> Given:
        return Given((agent_id, conversation_id))

    @operation("DELETE", _ONE + "/annotation/{annotationId}", NoneType)
    def remove_annotation(self, agent_id: str, conversation_id: str, annotation_id: str) -> Given:
        return Given((agent_id, conversation_id, annotation_id))

    @operation("DELETE", _ONE, ReceiptResponse)
    def erase(self, agent_id: str, conversation_id: str) -> Given:
        """For good; the answer is a signed receipt."""
        return Given((agent_id, conversation_id))
