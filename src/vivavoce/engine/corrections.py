"""Transcript corrections: what recognition is known to get wrong, rewritten before anybody reads it. Pure."""

from __future__ import annotations

from functools import lru_cache
from time import perf_counter

import regex

from vivavoce.domain.agent import TranscriptCorrection

MATCH_SECONDS = 0.02  # for one pattern on one transcript; ordinary ones take microseconds
ALL_SECONDS = 0.06  # for all of them: nobody else is answered meanwhile
MAX_CHARACTERS = 32_768


def correct(text: str, corrections: tuple[TranscriptCorrection, ...]) -> tuple[str, tuple[str, ...]]:
    """(the text, names of the corrections that changed it). In file order, each on the output of the one before."""
    applied: list[str] = []
    until = perf_counter() + ALL_SECONDS
    for correction in corrections:
        if perf_counter() > until:
            break
        try:
            changed = _apply(text, correction)
        except (TimeoutError, IndexError, regex.error):
            continue  # a pattern that takes too long, or a replacement that names a group that is not there
        if changed != text:
            text = changed[:MAX_CHARACTERS]
            applied.append(correction.name)
    return text, tuple(dict.fromkeys(applied))


def _apply(text: str, correction: TranscriptCorrection) -> str:
    pattern = _compiled(correction.pattern)
    if correction.whole:
        match = pattern.fullmatch(text.strip(), timeout=MATCH_SECONDS)
        return str(match.expand(correction.replacement)) if match else text
    return str(pattern.sub(correction.replacement, text, timeout=MATCH_SECONDS))


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern, regex.IGNORECASE)
