"""The live conduct of a conversation by one process: its record folded into what the next turn needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from vivavoce.domain.conversation import Conversation, Message, ReceivedEvent, Snapshot, Turn, Utterance
from vivavoce.domain.surroundings import Remembered, Surroundings
from vivavoce.engine.heard import Heard
from vivavoce.engine.prepared import Prepared


class Session:
    """Changes only by `accept`, after a turn was committed; a turn that fails to commit leaves no trace here."""

    def __init__(
        self, conversation: Conversation, prepared: Prepared, snapshot: Snapshot, turns: Iterable[Turn] = ()
    ) -> None:
        self.conversation = conversation
        self.prepared = prepared.in_group(conversation.test_group)
        self.snapshot = snapshot
        self.history: list[Utterance] = []
        self.messages: list[Message] = []
        self.metrics: list[tuple[str, object]] = []
        self.turns = 0
        self.surroundings = Surroundings()
        self.configuration: dict[str, Any] = {}  # as the last turn had it
        self.memory: Remembered | None = None
        self.asked_for: str | None = None  # the caller whose memory was looked for last
        self.events: tuple[ReceivedEvent, ...] = ()  # that earlier turns have seen
        self.personal: list[tuple[str, str]] = []  # what was found personal so far, and of what kind
        self.heard = Heard(conversation)
        for turn in turns:
            self._fold(turn)

    def look_around(self, surroundings: Surroundings) -> None:
        """What others have sent, and what a caller said another time, is no author's text either."""
        self.surroundings = surroundings
        if surroundings.memory is not None:
            self.heard.hear(surroundings.memory.values)
        for event in surroundings.events:
            self.heard.hear(event.data)

    def accept(self, conversation: Conversation, turn: Turn, snapshot: Snapshot) -> None:
        self.conversation = conversation
        self.snapshot = snapshot
        self._fold(turn)

    def _fold(self, turn: Turn) -> None:
        self.history.extend(utterances(turn))
        self.messages.extend(turn.messages)
        self.metrics.extend((metric.name, metric.value) for metric in turn.metrics)
        self.heard.turn(turn)
        self.personal += personal_values(turn)
        if turn.configuration is not None:
            self.configuration = turn.configuration
        if turn.memory is not None:
            self.memory = msgspec.convert(turn.memory, Remembered)
        self.events += turn.events
        self.turns = turn.index + 1

    @property
    def inputs(self) -> list[str]:
        """What the user has said so far, silences left out."""
        return [said.text for said in self.history if said.role == "user" and said.text]


def personal_values(turn: Turn) -> list[tuple[str, str]]:
    """The texts of a turn's personal spans, and what was pressed."""
    texts = {"input": turn.input.text, "corrected": turn.corrected or "", "reply": turn.reply}
    found = [(texts[span.side][span.start : span.end], span.category) for span in turn.personal or ()]
    return [*found, (turn.input.dtmf, "secret")] if len(turn.input.dtmf) > 2 else found


def heard(turn: Turn) -> str:
    """What the agent took the user to have said."""
    if turn.is_input_withheld:
        return ""
    return turn.corrected if turn.corrected is not None else turn.input.text or turn.input.dtmf


def utterances(turn: Turn) -> list[Utterance]:
    """The transcript of one turn. The greeting has no user side."""
    said = [] if turn.index == 0 else [Utterance(role="user", text=heard(turn))]
    return [*said, Utterance(role="agent", text=turn.reply)]
