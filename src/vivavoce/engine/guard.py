"""Stop keywords: what of a model's text may be said, and which filter cut it. Pure; fed with text as it comes."""

from __future__ import annotations

import re
from functools import lru_cache

import regex
from msgspec import Struct

from vivavoce.domain.agent import StopKeyword

MATCH_SECONDS = 0.05  # for one pattern on one reply; ordinary ones take microseconds
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"')\]]*\s+|\n+")


class Stopped(Struct, frozen=True):
    keyword: StopKeyword


class Guard:
    """Releases whole sentences. Once a keyword has matched, nothing more is released."""

    def __init__(self, keywords: tuple[StopKeyword, ...], language: str) -> None:
        self._keywords = [k for k in keywords if _speaks(k.language, language)]
        self._text = ""
        self._released = 0
        self._cut = 0
        self.stopped: Stopped | None = None
        self.slow: set[str] = set()  # keywords whose patterns took too long

    @property
    def heard(self) -> str:
        return self._text

    @property
    def released(self) -> str:
        return self._text[: self._released]

    def feed(self, delta: str) -> str:
        """Text that may be said now: whole sentences, looked at before they are let go."""
        if self.stopped is not None:
            return ""
        looked_at = len(self._text)
        self._text += delta
        end = 0
        for match in _SENTENCE_END.finditer(self._text, max(self._released, looked_at - 8)):
            end = match.end()
        if end <= self._released:
            return ""
        if self._stop_at(self._text, is_final=False):
            return self._release(self._cut)
        return self._release(end)

    def finish(self) -> str:
        """The rest, once the model has said all."""
        if self.stopped is not None:
            return ""
        return self._release(self._cut if self._stop_at(self._text, is_final=True) else len(self._text))

    def _release(self, end: int) -> str:
        text = self._text[self._released : end]
        self._released = max(self._released, end)
        return text

    def _stop_at(self, text: str, *, is_final: bool) -> bool:
        first: tuple[int, int, StopKeyword] | None = None
        for keyword in self._keywords:
            for pattern in keyword.patterns:
                match = self._search(keyword, pattern, text)
                if match and (first is None or match.start() < first[0]):
                    first = (match.start(), match.end(), keyword)
        if first is None:
            return False
        start, end, keyword = first
        if keyword.say_phrase:
            # A sentence that is spoken is spoken to its end, which may not have come yet.
            cut = _sentence_end(text, end, is_final=is_final)
            if cut is None:
                return False
            self._cut = cut
        else:
            self._cut = max(_sentence_start(text, start), self._released)
        self.stopped = Stopped(keyword)
        return True

    def _search(self, keyword: StopKeyword, pattern: str, text: str) -> regex.Match[str] | None:
        """A pattern that takes too long matches nothing, from then on: it must not hold up everybody's turns."""
        if keyword.name in self.slow:
            return None
        try:
            return _compiled(pattern).search(text, timeout=MATCH_SECONDS)
        except TimeoutError:
            self.slow.add(keyword.name)
            return None


def _speaks(wanted: str, language: str) -> bool:
    return (
        not wanted
        or wanted.lower() == language.lower()
        or wanted.split("-")[0].lower() == language.split("-")[0].lower()
    )


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern)


def _sentence_start(text: str, at: int) -> int:
    start = 0
    for match in _SENTENCE_END.finditer(text, 0, at):
        start = match.end()
    return start


def _sentence_end(text: str, at: int, *, is_final: bool) -> int | None:
    if text[at - 1 : at] in (".", "!", "?"):
        return at
    match = _SENTENCE_END.search(text, at)
    return match.end() if match else len(text) if is_final else None
