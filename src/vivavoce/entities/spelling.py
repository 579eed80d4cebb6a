"""References and codes as people read them out: letters, digits, "double b", "s for sugar", "tango"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vivavoce.entities.numbers import DIGIT_WORDS, TENS, UNITS

_SPELLING_ALPHABET = {
    word: word[0]
    for word in (
        "alpha", "alfa", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "juliett",
        "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor",
        "whiskey", "whisky", "yankee", "zulu",
    )
} | {"xray": "x"}  # fmt: skip
_LETTER_NAMES = {"zed": "z", "zee": "z", "aitch": "h", "haitch": "h"}
_SYMBOLS = {"dash": "-", "hyphen": "-", "slash": "/", "dot": ".", "underscore": "_", "hash": "#", "stroke": "/"}
_REPEATS = {"double": 2, "triple": 3, "treble": 3}
EXPLAINED = re.compile(r"\b([a-z])\s+(?:for|as in|like|as)\s+[a-z]+\b")


def readings(text: str) -> Iterator[str]:
    """What the text may spell: as it stands, closed up, then every stretch of it with what was spoken written out, longest
    first."""
    said = text.strip().strip(".!?,;: ")
    closed = re.sub(r"\s+", "", said)
    yield from (said, said.upper(), closed, closed.upper())
    tokens = _tokens(said)[:MOST_TOKENS]
    for length in range(len(tokens), 0, -1):
        for start in range(len(tokens) - length + 1):
            stretch = tokens[start : start + length]
            for joined in ("".join(stretch), " ".join(stretch)):
                yield joined.upper()
                yield joined


MOST_TOKENS = 24


def _tokens(text: str) -> list[str]:
    """Words and signs, with letters, digits and signs that were spoken written out."""
    said = EXPLAINED.sub(r"\1", text.lower().replace("x-ray", "xray").replace("'", ""))
    found: list[str] = []
    repeat = 1
    for token in re.findall(r"[a-z]+\d[a-z\d]*|[a-z]+|\d[a-z\d]*|[^\w\s,]", said):
        if token in _REPEATS:
            repeat = _REPEATS[token]
            continue
        written = _written(token)
        if token in UNITS and 0 < UNITS[token] < 10 and found and found[-1] in _TENS_TEXT:
            found[-1] = found[-1][0] + str(UNITS[token])
        else:
            found.append((written or token) * repeat)
        repeat = 1
    return found


_TENS_TEXT = {str(value) for value in TENS.values()}


def _written(token: str) -> str | None:
    if token.isdigit() or (len(token) == 1 and token.isalpha()):
        return token
    if token in DIGIT_WORDS:
        return DIGIT_WORDS[token]
    if token in UNITS or token in TENS:
        return str((UNITS | TENS)[token])
    if token in _LETTER_NAMES:
        return _LETTER_NAMES[token]
    if token in _SPELLING_ALPHABET:
        return _SPELLING_ALPHABET[token]
    if token in _SYMBOLS:
        return _SYMBOLS[token]
    return None
