"""References that the caller or the model has said. Whoever repeats them repeats words: they open no tool and read no state."""

from __future__ import annotations

import re
from typing import Any

from vivavoce.domain.conversation import Conversation, Turn

REFERENCE = re.compile(
    r"\{?\{\s*(?P<kind>fn|ft|entity|attr|vrbl|tn|twilio_sms|sms|va|ho)\s*:(?P<name>[^{}]+)\}\}?"
    r"|\$\{(?P<braced>[A-Za-z_][\w-]*)\}"
    r"|\$(?P<variable>[A-Za-z_]\w*)",
    re.IGNORECASE,
)
_STATE = ("vrbl", "variable", "braced")
_ALIASES = {"sms": "twilio_sms", "va": "attr"}


def target(kind: str, name: str) -> tuple[str, str]:
    """What a reference leads to, however it is written: (kind, name), with "" for a value of the state."""
    kind = kind.lower()
    return ("" if kind in _STATE else _ALIASES.get(kind, kind), name.strip().lower())


def _target(match: re.Match[str]) -> tuple[str, str]:
    return target(match["kind"] or "variable", match["name"] or match["braced"] or match["variable"])


class Heard:
    """Grows with every turn; `in` asks for a target."""

    def __init__(self, conversation: Conversation) -> None:
        self._targets: set[tuple[str, str]] = set()
        self.hear(conversation.from_number)
        self.hear(conversation.to_number)
        self.hear(conversation.id)
        self.hear(conversation.sip_headers)
        self.hear(conversation.integration_attributes)

    def __contains__(self, found: tuple[str, str]) -> bool:
        return found in self._targets

    def hear(self, value: Any) -> None:
        """Takes in every text of plain data."""
        if isinstance(value, str):
            if "{" in value or "$" in value:
                self._text(value)
        elif isinstance(value, dict):
            for key, item in value.items():
                self.hear(key)
                self.hear(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self.hear(item)

    def turn(self, turn: Turn) -> None:
        self.hear(turn.input.text)
        self.hear(turn.corrected)
        for extraction in turn.extractions:
            self.hear(extraction.value)
        for event in turn.events:
            self.hear(event.data)
        self.hear(turn.memory)
        for call in turn.calls:
            self.hear(call.arguments)
            for exchange in call.exchanges:
                self.hear(exchange.answer)

    def _text(self, text: str) -> None:
        # Author code may clean a text of what cannot be seen; a reference that only then appears was said as well.
        visible = "".join(c for c in text if c.isprintable())
        plain = text.encode("ascii", "ignore").decode()
        for form in {text, visible, plain, re.sub(r"\s+", "", plain)}:
            self._targets.update(_target(match) for match in REFERENCE.finditer(form))
