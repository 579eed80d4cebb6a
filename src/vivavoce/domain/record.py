"""What is known of a conversation besides its turns, and how conversations are asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

from vivavoce.domain.conversation import Closing, Conversation, Delivery, Metric, PersonalSpan, Turn

Role: TypeAlias = Literal["user", "agent"]

# The first three are the field's; the others are ours.
AnnotationType: TypeAlias = Literal[
    "missing_topic", "wrong_transcript", "wrong_info", "good_response", "bad_response", "other"
]
BadReason: TypeAlias = Literal["too_general", "too_specific", "incorrect_handoff", "too_long", "hallucination"]
Grade: TypeAlias = Literal["good", "fair", "poor"]


class TranscriptTurn(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a turn said, without how it came to be: what lists, searches and exports read.

    `personal` None means that nobody has looked yet: without the right to see personal data, nothing of it is shown.
    """

    index: int
    started_at: datetime
    finished_at: datetime
    text: str = ""
    dtmf: str = ""
    corrected: str | None = None
    reply: str = ""
    asr_language: str = ""
    tts_language: str = ""
    is_out_of_domain: bool = False
    is_withheld: bool = False
    metrics: tuple[Metric, ...] = ()
    personal: tuple[PersonalSpan, ...] | None = None
    personal_by: str = ""
    perceived: float | None = None  # milliseconds from the end of the caller's speech to the agent's first sound
    is_barge_in: bool = False
    is_secret: bool = False  # its keys are for nobody's eyes

    @property
    def shown_dtmf(self) -> str:
        return "*" * len(self.dtmf) if self.is_secret else self.dtmf

    @property
    def is_silence(self) -> bool:
        return self.index > 0 and not self.text and not self.dtmf


class Transcript(Struct, frozen=True, kw_only=True):
    """What was said in a conversation, the metrics written after its end, and its state as it is now, as JSON."""

    turns: list[TranscriptTurn]
    closing_metrics: tuple[Metric, ...] = ()
    state: dict[str, Raw] = {}


class Annotation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reviewer's mark on one side of one turn."""

    id: str
    turn: int  # index, zero-based
    role: Role
    type: AnnotationType
    reasons: tuple[BadReason, ...] = ()  # of a bad response
    text: str = ""
    redacted: str = ""
    is_informed: bool = False  # its author could see personal data
    author: str
    at: datetime


class Note(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`redacted` is the text without what is personal in it or in the conversation, as it was when it was written."""

    text: str
    redacted: str = ""
    is_informed: bool = False  # its author could see personal data
    author: str
    at: datetime


class Summary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`made_by` is the model's name, or "rules" for the embedded one, which only arranges what was said."""

    heading: str
    content: str
    redacted_heading: str = ""
    redacted_content: str = ""
    made_by: str


class Score(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """1 to 5 out of two dimensions; or none, and the reason."""

    value: int | None = None
    agent_quality: Grade | None = None
    task_success: Grade | None = None
    reason: str = ""
    redacted_reason: str = ""
    made_by: str


class Review(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people and models have said about a conversation afterwards."""

    note: Note | None = None
    tags: tuple[str, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    summary: Summary | None = None
    score: Score | None = None
    redacted_handoff_reason: str | None = None  # known once the conversation was reviewed

    @property
    def redacted(self) -> Review:
        """The same without personal data."""
        note, summary, score = self.note, self.summary, self.score
        return replace(
            self,
            note=replace(note, text=note.redacted) if note is not None else None,
            annotations=tuple(replace(a, text=a.redacted) for a in self.annotations),
            summary=replace(summary, heading=summary.redacted_heading, content=summary.redacted_content)
            if summary is not None
            else None,
            score=replace(score, reason=score.redacted_reason) if score is not None else None,
        )


class Listed(Struct, frozen=True, kw_only=True):
    """One line of a list."""

    conversation: Conversation
    review: Review = Review()


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is kept of a conversation, as it is carried from one store to another.

    The state goes as JSON: a pickle that only an author's worker may open is not carried.
    """

    conversation: Conversation
    turns: tuple[Turn, ...]
    state: dict[str, Any] = {}
    closing: Closing | None = None
    deliveries: tuple[Delivery, ...] = ()
    review: Review = Review()


ExportFormat: TypeAlias = Literal["jsonl", "csv", "parquet", "vcon"]


class ExportSignature(Struct, frozen=True, kw_only=True):
    """Of a finished export: so many conversations, a hash of all its bytes, and Ed25519 over `text`."""

    id: str
    format: ExportFormat
    conversations: int
    sha256: str
    ed25519: str
    public_key: str

    @property
    def text(self) -> bytes:
        """What is signed: everything that the signature says."""
        return "\0".join(("vivavoce export", self.id, self.format, str(self.conversations), self.sha256)).encode()


class Index(Struct, frozen=True, kw_only=True):
    """What a conversation is searched by: its words and meaning, each with personal data and without."""

    facets: frozenset[tuple[str, str]] = frozenset()
    user: str
    agent: str
    redacted_user: str
    redacted_agent: str
    model: str = ""  # that made the vectors; "" when there are none
    vector: list[float] = []
    redacted_vector: list[float] = []


class Meaning(Struct, frozen=True, kw_only=True):
    """A question as a vector."""

    vector: list[float]
    model: str
    is_redacted: bool = False


class Text(Struct, frozen=True, kw_only=True):
    """Words to be found, all of them; words of one phrase stand in that order."""

    phrases: tuple[tuple[str, ...], ...]
    role: Role | None = None  # None: whoever said it
    is_redacted: bool = False  # looked for only in what is left without personal data


class Criteria(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which conversations are asked for. Values of one field are alternatives; fields must all hold."""

    since: datetime | None = None
    until: datetime | None = None  # exclusive
    environments: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()  # the part of a channel before its dot
    variants: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()  # of an A/B test
    handoff: bool | None = None
    destinations: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    metrics: tuple[tuple[str, str | None], ...] = ()  # names with a value, or whatever their value
    contacts: tuple[str, ...] = ()  # either side's number or address
    in_progress: bool | None = None
    min_score: int | None = None
    max_score: int | None = None
    min_duration: int | None = None  # seconds; only of conversations that have ended
    max_duration: int | None = None
    text: Text | None = None


Sorting: TypeAlias = Literal["started_at", "duration", "score"]


class Order(Struct, frozen=True, kw_only=True):
    by: Sorting = "started_at"
    is_descending: bool = True


class Position(Struct, frozen=True, kw_only=True):
    """A conversation's place in an order. `number` is its own, and grows with the time at which it began."""

    value: int = 0  # what it was ordered by, besides the number
    number: int


class Page(Struct, frozen=True, kw_only=True):
    items: list[Listed]
    next: Position | None = None  # after which more follow


class Count(Struct, frozen=True, kw_only=True):
    """`is_exact` False: there are at least so many."""

    number: int
    is_exact: bool = True
