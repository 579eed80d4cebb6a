"""References in text, `{{fn:name}}` and its kin: found and checked here, rendered by the engine."""

from __future__ import annotations

import re
from typing import NamedTuple

KINDS = ("fn", "ft", "entity", "attr", "vrbl", "tn", "twilio_sms", "ho")
ALIASES = {"sms": "twilio_sms", "va": "attr"}
REFERENCE = re.compile(r"\{\{\s*([A-Za-z_]+)\s*:([^{}]+)\}\}")  # linear in any text


class Reference(NamedTuple):
    kind: str
    name: str
    line: int  # within the text, from 0


def find(text: str) -> list[Reference]:
    """Every reference of a known kind, in order; unknown prefixes are plain text."""
    found = []
    line, seen = 0, 0
    for match in REFERENCE.finditer(text):
        kind = ALIASES.get(match.group(1), match.group(1))
        if kind in KINDS:
            line, seen = line + text.count("\n", seen, match.start()), match.start()
            found.append(Reference(kind, match.group(2).strip(), line))
    return found


def names(text: str, kind: str) -> tuple[str, ...]:
    """The distinct names of one kind, in order of appearance."""
    if "{{" not in text:
        return ()
    return tuple(dict.fromkeys(ref.name for ref in find(text) if ref.kind == kind))
