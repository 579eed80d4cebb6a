"""Which characters of a text are personal, by the built-in rules and what an agent's owner has changed of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import regex
from msgspec import Struct

from vivavoce.redaction.rules import personal_spans
from vivavoce.redaction.text import Span, merged

VERSION = "2"  # of what is built in: another one looks again at what the one before has decided
PATTERN_SECONDS = 0.05  # for one text; one that takes longer hides all of it
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
        self._keep = frozenset(_plain(text) for text in rules.keep)
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
        if not (self._patterns or self._keep or self._shown):
            return built_in
        found = [
            s for s in built_in if s.category not in self._shown and _plain(text[s.start : s.end]) not in self._keep
        ]
        for pattern, category in self._patterns:
            try:
                matches = pattern.finditer(text, timeout=PATTERN_SECONDS)
                found += [Span(m.start(), m.end(), category) for m in matches if m.end() > m.start()]
            except TimeoutError:
                found.append(Span(0, len(text), category))
        return merged(found)


def _compiled(pattern: str) -> regex.Pattern[str]:
    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except regex.error as error:
        raise PatternInvalid(f"{pattern[:60]!r} is no regular expression: {error}") from error


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


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
