"""References in text, `{{fn:name}}` and its kin: found and checked here, rendered by the engine."""

from __future__ import annotations

import re
from typing import NamedTuple

KINDS = ("fn", "ft", "entity", "attr", "vrbl", "tn", "twilio_sms", "ho")
ALIASES = {"sms": "twilio_sms", "va": "attr"}
REFERENCE = re.compile(r"\{\{\s*([A-Za-z_]+)\s*:\s*([^{}]+?)\s*\}\}")


class Reference(NamedTuple):
    kind: str
    name: str
    line: int  # within the text, from 0


def find(text: str) -> list[Reference]:
    """Every reference of a known kind, in order; unknown prefixes are plain text."""
    found = []
    for match in REFERENCE.finditer(text):
        kind = ALIASES.get(match.group(1), match.group(1))
        if kind in KINDS:
            found.append(Reference(kind, match.group(2), text.count("\n", 0, match.start())))
    return found


def names(text: str, kind: str) -> tuple[str, ...]:
    """The distinct names of one kind, in order of appearance."""
    if "{{" not in text:
        return ()
    return tuple(dict.fromkeys(ref.name for ref in find(text) if ref.kind == kind))
