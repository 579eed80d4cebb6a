"""A text as words, numbers and signs with their places: the ground that every rule stands on."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

_TOKEN = re.compile(r"(?:(?<!\w)(?:[^\W\d_]\.){2,})|[^\W\d_]+(?:['’][^\W\d_]+)*['’]?(?<!['’])|\d+|\S")
SENTENCE_ENDS = frozenset(".?!;")


class Token(Struct, frozen=True, gc=False):
    text: str
    low: str
    start: int
    end: int
    is_word: bool
    is_capitalised: bool


class Span(Struct, frozen=True, order=True):
    """Characters `start` to `end` of a text."""

    start: int
    end: int
    category: str


def tokens(text: str) -> list[Token]:
    found = []
    for match in _TOKEN.finditer(text):
        said = match.group()
        low = said.lower().replace("’", "'")
        if "." in low and len(low) > 1:
            low = low.replace(".", "")  # d.o.b.
        found.append(Token(said, low, match.start(), match.end(), said[0].isalpha(), said[0].isupper()))
    return found


def merged(spans: Iterable[Span]) -> list[Span]:
    """In order and without overlaps: of two that touch the same characters the one that begins first takes both."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        if found and span.start < found[-1].end:
            last = found[-1]
            if span.end > last.end:
                found[-1] = Span(last.start, span.end, last.category)
        else:
            found.append(span)
    return found
