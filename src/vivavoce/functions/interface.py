"""What the engine knows of author functions: a call goes in, the calls-back are answered, one outcome comes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from vivavoce.domain.agent import Function
from vivavoce.domain.conversation import Collected, Conversation, LogEntry, OutgoingMessage, Place, Utterance
from vivavoce.domain.surroundings import Surroundings
from vivavoce.errors import VivavoceError


class FunctionsUnavailable(VivavoceError):
    """The process that runs author code could not be started."""

    code = "FUNCTIONS_UNAVAILABLE"
    status = 503
    retryable = True


class View(Struct, frozen=True, kw_only=True):
    """All that author code may see of its conversation. `history` only ever grows."""

    conversation: Conversation
    now: datetime
    place: Place
    state: bytes  # the opaque pickle of the last snapshot; b"" at the start
    history: tuple[Utterance, ...]
    metrics: tuple[tuple[str, Any], ...]
    variant: str | None
    language: str
    alternatives: tuple[str, ...] = ()
    entities: dict[str, Collected] = {}
    unsynced: dict[str, Any] = {}  # to be set on conv.state before the call
    zone: str = "UTC"  # IANA name
    surroundings: Surroundings = Surroundings()
    key: str = ""  # of this call: the same one when the turn has to be taken again for the same message


class Ask(Struct, frozen=True, kw_only=True):
    """A call-back of author code while it runs."""

    kind: str  # prompt_llm
    body: dict[str, Any]


Answer: TypeAlias = Callable[[Ask], Awaitable[Any]]  # raises a VivavoceError when there is none


class Queued(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What author code asked of `conv` and `flow`, after its own order was settled."""

    utterance: str | None = None
    goto_flow: str | None = None
    goto_step: str | None = None
    exit_flow: bool = False
    handoff: dict[str, Any] | None = None
    variant: str | None = None
    language: str | None = None
    voice: dict[str, Any] | None = None
    asr_biasing: dict[str, Any] | None = None
    disabled_topics: tuple[str, ...] | None = None
    discard_recording: bool = False


class MetricWrite(Struct, frozen=True, kw_only=True):
    name: str
    value: Any
    at: datetime
    write_once: bool = False


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a call. `state` is None when the snapshot did not change; `view` holds only changed keys."""

    returned: Any = None  # None, text, an object, or (with is_odd) the text of anything else
    is_odd: bool = False
    error: str | None = None
    queued: Queued = Queued()
    metrics: tuple[MetricWrite, ...] = ()
    logs: tuple[LogEntry, ...] = ()
    messages: tuple[OutgoingMessage, ...] = ()
    state: bytes | None = None
    view: dict[str, bytes] = {}  # key -> JSON text
    removed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class FunctionExecutor(Protocol):
    async def call(
        self, function: Function, arguments: dict[str, Any], view: View, answer: Answer, *, timeout: float
    ) -> Outcome:
        """Never raises for what author code does: a crash, a hang or nonsense is an outcome with `error` set."""
        ...

    async def evict(self, conversation: Conversation) -> None:
        """Forgets the warm worker of a conversation; the next call starts from the view alone."""
        ...
