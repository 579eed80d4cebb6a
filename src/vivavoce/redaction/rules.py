"""All rules together: the personal spans of a text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vivavoce.redaction.dates import births
from vivavoce.redaction.identifiers import identifiers
from vivavoce.redaction.online import online
from vivavoce.redaction.people import people
from vivavoce.redaction.places import addresses
from vivavoce.redaction.runs import runs
from vivavoce.redaction.tagger import corrected
from vivavoce.redaction.text import Span, Token, merged, tokens
from vivavoce.redaction.vocabulary import COMMON_WORDS

CHUNK_CHARACTERS = 2_000


def personal_spans(text: str, *, is_thorough: bool = True) -> list[Span]:
    """In order, without overlaps. Not thorough is by rules alone, at a third of the time."""
    if len(text) <= CHUNK_CHARACTERS:
        return _spans(text, is_thorough)
    return [
        Span(span.start + start, span.end + start, span.category)
        for start, part in _chunks(text)
        for span in _spans(part, is_thorough)
    ]


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Long texts in pieces that end between words, so that twice the text takes twice the time."""
    start = 0
    while start < len(text):
        end = min(len(text), start + CHUNK_CHARACTERS)
        if end < len(text):
            space = text.rfind(" ", start + CHUNK_CHARACTERS // 2, end)
            end = space if space > 0 else end
        yield start, text[start:end]
        start = end


def _spans(text: str, is_thorough: bool) -> list[Span]:
    if not text or text.isspace():
        return []
    words = tokens(text)
    found = found_by_rules(text, words)
    return merged(corrected(words, found)) if is_thorough else found


def found_by_rules(text: str, words: Sequence[Token]) -> list[Span]:
    found = online(text, words)
    found += addresses(words)
    found += births(words)
    found += secrets(words)
    found += made_up(text)
    taken = [(span.start, span.end) for span in found]
    found += [span for span in identifiers(words, runs(words)) if not _inside(span, taken)]
    taken = [(span.start, span.end) for span in found]
    found += people(words, taken)
    return merged(found)


def _inside(span: Span, taken: Sequence[tuple[int, int]]) -> bool:
    return any(start <= span.start and span.end <= end for start, end in taken)


_SECRET_IS = re.compile(
    r"\b(?:pass(?:word|code|phrase)|pwd|pw|passwort|kennwort|contraseña|mot de passe|clave|safe word|security word|memorable (?:word|name|place)|"
    r"maiden name|security answer|secret word|first (?:pet|school|car|teacher)(?:'s name)?|answer(?: to the security question)?|otp|pin|"
    r"code word|codeword)\b"
    r"(?:\s*\(?(?:is|was|to|as|es|est|ist|:|=|-|it's|its|for that|i chose|called|a|the|u sent me|on the account|of the account|du compte|c'est|\?|,|saved|says|set|que puse|era))*\s*",
    re.IGNORECASE,
)
_NO_SECRET = frozenset(
    "i you my the a and or is not reset it please for on to doesn't don't isn't won't can't wrong forgot forgotten again still"
    " expired link change changed new old that this what why how when sent number hasn't locked email account question questions"
    " now never keeps works work working try just has been does was in with from your our please if but because so then when at"
    " se no ne le la el vergessen oublié olvidado nicht mein meine me ya machine protected needs need must should requirements"
    " manager field box screen page by of code codes 1st first 2nd one-time".split()
)


def secrets(words: Sequence[Token]) -> list[Span]:
    """What follows "password", "maiden name" and the like, when it can be the thing itself."""
    if not words:
        return []
    text = _text(words)
    found = []
    for match in _SECRET_IS.finditer(text):
        place = next((n for n, w in enumerate(words) if w.start >= match.end()), None)
        if place is None or place == 0:
            continue
        said = words[place]
        is_sign = not said.is_word and not said.text.isdigit()
        if is_sign or said.low in _NO_SECRET:
            continue
        end = said.end
        if said.low not in COMMON_WORDS and said.is_word and _is_second(words, place):
            place += 1
            end = words[place].end
        while place + 1 < len(words) and words[place + 1].start == end and words[place + 1].text not in ",.?;)":
            place += 1
            end = words[place].end
        while end < len(text) and not text[end].isspace() and text[end] not in ",.?;)":
            end += 1
        found.append(Span(said.start, end, "secret"))
    return found


def _is_second(words: Sequence[Token], place: int) -> bool:
    """A secret of two words: the second ends the utterance."""
    following = words[place + 1] if place + 1 < len(words) else None
    is_last = place + 2 >= len(words) or words[place + 2].text in ".,!\"'"
    return following is not None and following.is_word and is_last and following.low not in _NO_SECRET


_MADE_UP = re.compile(
    r"(?<![\w@/.#-])(?=\S*[A-Za-z]{3})(?=\S*\d)[A-Z][a-z]{3,}\d{2,4}[!?#*]?(?![\w@/-])|(?<![\w@/.])[A-Za-z]\w{2,}[!#$*&?^%]\w{1,}(?![\w@/])"
)


def made_up(text: str) -> list[Span]:
    """Words that nobody says, such as Snowdrop99 and hunter!22: passwords."""
    return [Span(m.start(), m.end(), "secret") for m in _MADE_UP.finditer(text)]


def _text(words: Sequence[Token]) -> str:
    """The words at their own places again."""
    parts = []
    place = 0
    for word in words:
        parts.append(" " * (word.start - place))
        parts.append(word.text)
        place = word.end
    return "".join(parts)
