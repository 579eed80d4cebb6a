"""Word error rate: how much of what was said is recognised. Pure."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_DIGITS = dict(
    zip("0123456789", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], strict=True)
)


def words(text: str) -> list[str]:
    """Small letters, no punctuation; a number is its digits, as it would be read out one by one."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        found += [_DIGITS[c] for c in word] if word.isdecimal() and word.isascii() else [word]
    return found


def errors(said: str, heard: str) -> tuple[int, int]:
    """(words that are wrong, missing or too many; words that were said)."""
    wanted, given = words(said), words(heard)
    row = list(range(len(given) + 1))
    for i, word in enumerate(wanted, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(given, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1], len(wanted)
