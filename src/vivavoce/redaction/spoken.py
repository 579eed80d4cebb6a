"""Where in a sound personal data is said, from the words that were recognised in it and when. Times are seconds. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct

from vivavoce.redaction.text import Span

Stretch: TypeAlias = tuple[float, float]
BRIDGED_WORDS = 2  # between two personal ones that are hidden with them
BRIDGED_SECONDS = 1.0
NEAR_SECONDS = 1.2  # from what is muted: where a rest of it may be heard
_MARKS = re.compile(r"[.,;:?!…]+(?=\s|$)")
_WORD = re.compile(r"[^\W_]+")
# Of what numbers, spellings and addresses are made: beside a muted stretch such a word is a rest of it.
_PIECES = frozenset(
    "zero oh nought naught one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand double triple treble"
    " first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth twentieth thirtieth january february march april may june july august"
    " september october november december dot underscore hyphen dash com org net gmail".split()
)


class Timed(Struct, frozen=True):
    text: str
    start: float
    end: float


def stretches(words: Sequence[Timed], find: Callable[[str], Sequence[Span]]) -> list[Stretch]:
    """Where what `find` calls personal is said. Neighbours with little between them are one stretch.

    A recogniser guesses where sentences end: the words are looked at with its marks and without them.
    """
    bare = [Timed(_MARKS.sub("", word.text), word.start, word.end) for word in words]
    personal: set[int] = set()
    for said in (words, bare):
        text, places = _joined(said)
        spans = find(text)
        personal |= {
            number
            for number, (start, end) in enumerate(places)
            if any(span.start < end and start < span.end for span in spans)
        }
    return _merged(words, sorted(personal))


def rests(words: Sequence[Timed], muted: Sequence[Stretch], secrets: frozenset[str]) -> list[Stretch]:
    """Pieces of what was muted that can still be heard beside it: words of it, digits, spelled letters."""
    found = [
        number
        for number, word in enumerate(words)
        if any(start - NEAR_SECONDS < word.end and word.start < end + NEAR_SECONDS for start, end in muted)
        and any(_is_piece(piece, secrets) for piece in pieces(word.text))
    ]
    return _merged(words, found)


def pieces(text: str) -> list[str]:
    return [match.group().casefold() for match in _WORD.finditer(text)]


def secrets_of(texts: Iterable[str]) -> frozenset[str]:
    """The words by which a personal text would be known, small ones left out."""
    return frozenset(piece for text in texts for piece in pieces(text) if len(piece) > 2 or piece.isdigit())


def _is_piece(piece: str, secrets: frozenset[str]) -> bool:
    is_letter = len(piece) == 1 and piece not in ("a", "i")
    return piece in secrets or piece in _PIECES or is_letter or any(c.isdigit() for c in piece)


def _joined(words: Sequence[Timed]) -> tuple[str, list[tuple[int, int]]]:
    """The words as one text, and where each stands in it."""
    places, at = [], 0
    for word in words:
        places.append((at, at + len(word.text)))
        at += len(word.text) + 1
    return " ".join(word.text for word in words), places


def _merged(words: Sequence[Timed], numbers: Sequence[int]) -> list[Stretch]:
    found: list[Stretch] = []
    last = -1
    for number in numbers:
        word = words[number]
        is_near = found and (number - last - 1 <= BRIDGED_WORDS or word.start - found[-1][1] <= BRIDGED_SECONDS)
        if is_near:
            found[-1] = (found[-1][0], max(found[-1][1], word.end))
        else:
            found.append((word.start, word.end))
        last = number
    return found
