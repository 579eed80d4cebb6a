"""Which characters of a text are personal, by the built-in rules and what an agent's owner has changed of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import regex
from msgspec import Struct

from vivavoce.redaction.rules import personal_spans
from vivavoce.redaction.text import Span, merged

VERSION = "2"  # of what is built in: another one looks again at what the one before has decided
PATTERN_SECONDS = 0.05  # of all patterns together for one text; one that takes longer than its part hides all of it
MOST_STRIKES = 5  # after which a pattern hides every text, without being tried
TRIALS = ("a" * 500, "aA1 -" * 100, "My name is Ada Lovelace and my number is 07700 900461, thank you. " * 4)
MOST_REMEMBERED = 8192  # texts: agents say the same things again and again


class Pattern(Struct, frozen=True, kw_only=True):
    """What a regular expression matches is personal, and of this category."""

    category: str
    pattern: str


class OwnRules(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`keep` are texts that are nobody's, such as the names of the house; `shown` are categories that are not hidden."""

    patterns: tuple[Pattern, ...] = ()
    keep: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()


class PatternInvalid(ValueError):
    """A regular expression that cannot be read."""


class Finder:
    """`name` is the same for the same rules: what one has decided, another of that name need not look at again."""

    def __init__(self, rules: OwnRules = OwnRules()) -> None:  # noqa: B008  # frozen
        self._patterns = [(_compiled(p.pattern), p.category) for p in rules.patterns]
        self._strikes: dict[str, int] = {}  # pattern -> how often it took too long
        self._keep = _any_of(rules.keep)
        self._shown = frozenset(rules.shown)
        own = hashlib.sha256(msgspec.json.encode(rules)).hexdigest()[:12]
        self.name = VERSION if rules == OwnRules() else f"{VERSION}-{own}"

    def quick(self, text: str) -> Sequence[Span]:
        """By rules alone, in the time that a turn has."""
        return self._changed(text, _quick(text))

    def thorough(self, text: str) -> Sequence[Span]:
        """All that can be found."""
        return self._changed(text, _thorough(text))

    def _changed(self, text: str, built_in: Sequence[Span]) -> Sequence[Span]:
        """An agent's own patterns go first; what it keeps goes before what is built in."""
        if not (self._patterns or self._keep or self._shown):
            return built_in
        own: list[Span] = []
        for pattern, category in self._patterns:
            if self._strikes.get(pattern.pattern, 0) >= MOST_STRIKES:
                own.append(Span(0, len(text), category))
                continue
            try:
                matches = pattern.finditer(text, timeout=PATTERN_SECONDS / len(self._patterns))
                own += [Span(m.start(), m.end(), category) for m in matches if m.end() > m.start()]
            except TimeoutError:
                self._strikes[pattern.pattern] = self._strikes.get(pattern.pattern, 0) + 1
                own.append(Span(0, len(text), category))
        taken = [(s.start, s.end) for s in own]
        if self._keep is not None:
            taken += [m.span() for m in self._keep.finditer(text)]
        left = [s for s in built_in if s.category not in self._shown and not _touches(s, taken)]
        return merged(own + left)


def _touches(span: Span, taken: Sequence[tuple[int, int]]) -> bool:
    return any(start < span.end and span.start < end for start, end in taken)


def _compiled(pattern: str) -> regex.Pattern[str]:
    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except (regex.error, RecursionError) as error:
        raise PatternInvalid(f"{pattern[:60]!r} is no regular expression: {error}") from error


def try_out(rules: OwnRules) -> None:
    """Raises PatternInvalid for a pattern that cannot be read, or takes too long on the plainest texts."""
    for own in rules.patterns:
        pattern = _compiled(own.pattern)
        for text in TRIALS:
            try:
                for _ in pattern.finditer(text, timeout=PATTERN_SECONDS):
                    pass
            except TimeoutError:
                raise PatternInvalid(
                    f"{own.pattern[:60]!r} takes too long; write it without repeats within repeats"
                ) from None


def _any_of(texts: Sequence[str]) -> re.Pattern[str] | None:
    """These words, whatever their case and the room between them."""
    said = [r"\s+".join(map(re.escape, text.split())) for text in sorted(texts, key=len, reverse=True)]
    return re.compile(rf"(?<!\w)(?:{'|'.join(said)})(?!\w)", re.IGNORECASE) if said else None


@lru_cache(maxsize=MOST_REMEMBERED)
def _quick(text: str) -> tuple[Span, ...]:
    return tuple(personal_spans(text, is_thorough=False))


@lru_cache(maxsize=MOST_REMEMBERED)
def _thorough(text: str) -> tuple[Span, ...]:
    return tuple(personal_spans(text))


def forget() -> None:
    """What was looked at lately is kept for a while; after an erasure it is not."""
    _quick.cache_clear()
    _thorough.cache_clear()


BUILT_IN = Finder()
