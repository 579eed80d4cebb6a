"""Text as it is given to a voice: the author's pronunciations applied, what no voice can read taken out. Pure."""

from __future__ import annotations

import html
import re
from functools import lru_cache
from time import perf_counter

import regex

from vivavoce.domain.agent import Pronunciation

MATCH_SECONDS = 0.02  # for one pattern on one text
ALL_SECONDS = 0.06
MAX_CHARACTERS = 8_192
MOST_SLOW = 1_000  # patterns that are remembered
_slow: set[str] = set()
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_LINK = re.compile(r"\[([^\]\[]{1,200})\]\(https?://[^)\s]{1,500}\)")
_MARKS = re.compile(r"[*_`#|~]{1,3}")
_SENTENCE = re.compile(r"(?<=[.!?…。！？])[\"')\]]*\s+|\n+")


def pronounced(text: str, rules: tuple[Pronunciation, ...], language: str) -> str:
    """Each rule on the output of the one before; those of another language are left out."""
    until = perf_counter() + ALL_SECONDS
    for rule in rules:
        if perf_counter() > until:
            break
        if rule.pattern in _slow or (rule.language and not _is_same(rule.language, language)):
            continue
        try:
            text = _compiled(rule.pattern, rule.case_sensitive).sub(rule.replacement, text, timeout=MATCH_SECONDS)
        except TimeoutError:
            if len(_slow) < MOST_SLOW:
                _slow.add(rule.pattern)  # from now on it is left out: every caller would hear the pause
        except (IndexError, regex.error):
            continue  # a replacement that names a group that is not there
        text = text[:MAX_CHARACTERS]
    return text


def readable(text: str) -> str:
    """Without the marks of written text, which a voice would read out: links, emphasis, tags."""
    text = _LINK.sub(r"\1", text)
    text = _MARKS.sub(" ", _TAG.sub(" ", text))
    return " ".join(html.unescape(text).split())


def sentences(text: str) -> list[str]:
    """Each can be spoken as soon as it is there."""
    return [part.strip() for part in _SENTENCE.split(text) if part and part.strip()]


def _is_same(wanted: str, language: str) -> bool:
    return wanted.lower() == language.lower() or wanted.lower() == language.split("-")[0].lower()


@lru_cache(maxsize=1024)
def _compiled(pattern: str, is_case_sensitive: bool) -> regex.Pattern[str]:
    return regex.compile(pattern, 0 if is_case_sensitive else regex.IGNORECASE)
