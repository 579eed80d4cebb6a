"""The words of a text as a search compares them: without case, accents and signs."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\w+")
MAX_CHARACTERS = 64  # of one word; the rest of a longer one is not compared
MOST_WORDS = 50_000  # of one side of a conversation


def words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in folded if not unicodedata.combining(c)) if not folded.isascii() else folded
    return [word[:MAX_CHARACTERS] for word in _WORD.findall(plain)[:MOST_WORDS]]


def phrases(query: str) -> tuple[tuple[str, ...], ...]:
    """Each word by itself, and what stands in quotation marks as one phrase."""
    found: list[tuple[str, ...]] = []
    for place, part in enumerate(query.split('"')):
        said = words(part)
        if place % 2:
            found.append(tuple(said))
        else:
            found += [(word,) for word in said]
    return tuple(dict.fromkeys(phrase for phrase in found if phrase))
