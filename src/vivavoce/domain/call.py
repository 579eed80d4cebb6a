"""What a call adds to a turn: where in the recording it is, how it was heard and how it was played. Offsets are samples
at 16 kHz from the start of the recording; durations are milliseconds."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Spoken(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The caller's side of a turn."""

    start: int = 0
    end: int = 0
    alternatives: tuple[str, ...] = ()  # readings, best first
    confidence: float | None = None
    language: str = ""
    recognizer: str = ""
    endpointing: float = 0  # from the end of the speech to the decision that it has ended
    recognition: float = 0  # from there to the text
    is_barge_in: bool = False  # the agent was interrupted by it
    end_key: str = ""  # that ended an entry of keys
    is_secret: bool = False  # keys that nobody may see


class Played(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The agent's side of a turn. `start` None: nothing of the reply was heard."""

    start: int | None = None
    end: int | None = None
    synthesizer: str = ""
    first_text: float = 0  # from the input to the first words of the reply
    synthesis: float = 0  # from there to the first sound of them
    transport: float = 0  # from there to its being sent
    perceived: float | None = None  # from the end of the caller's speech to the agent's first sound
    heard: str | None = None  # the words of the reply that were played, when the caller interrupted it
    problems: tuple[str, ...] = ()  # codes of what went wrong while it was heard or said


class MutedSpan(Struct, frozen=True, array_like=True):
    """Samples `start` to `end` of one side that are silent in the redacted recording."""

    side: Literal["user", "agent"]
    start: int
    end: int


class Recording(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call's sound: two channels of equal length, caller left, agent right. `muted` None: not yet redacted."""

    samples: int
    sha256: str  # of the file before it was sealed
    key: bytes  # under which it is sealed: gone with the conversation's own key
    muted: tuple[MutedSpan, ...] | None = None
    rounds: int = 0  # how often it was listened to again until nothing personal was heard
    is_clean: bool = False  # the last time, nothing was; else whole utterances were muted
    redacted_by: str = ""  # the recogniser
    rules: str = ""  # by which it was redacted
    is_whole: bool = True  # False: the disk failed before the call was over
