"""Dates of birth: a date, once something says that somebody was born on it."""

from __future__ import annotations

from collections.abc import Sequence

from vivavoce.redaction.text import Span, Token
from vivavoce.redaction.vocabulary import CUES, FILLERS, MONTHS, NUMBERS, ORDINALS, TEENS, TENS

_EXPIRIES = frozenset(
    "expiry expires expiring expire expired exp expiration thru til good runs ran valid gültig caduca caducidad vence expira ablaufdatum läuft ends".split()
)
_MAX_TOKENS = 14  # of a date
REACH = 14  # tokens from the cue to the date
_CUES = CUES["date_of_birth"]
_BETWEEN = frozenset(["of", "the", "de", "del", "der", "den", "le", "el", "year", "in", "and", "hundred", ",", "/", ".", "-", "st", "nd", "rd", "th", "thousand", "º", "er", "'", "’"])  # fmt: skip
_AGES = frozenset(["years", "year", "weeks", "months", "days", "pounds", "am", "pm", "jahre", "ans", "años"])


def births(tokens: Sequence[Token]) -> list[Span]:
    found: list[Span] = []
    if not any(token.low in NUMBERS or token.text[0].isdigit() or token.low in ORDINALS for token in tokens):
        return found
    place = 0
    while place < len(tokens):
        last = _date(tokens, place)
        if last is None:
            place += 1
            continue
        is_near = any(
            _is_cue(tokens, n)
            for n in (*range(max(0, place - REACH), place), *range(last + 1, min(last + 7, len(tokens))))
        )
        if any(token.low in _EXPIRIES for token in tokens[max(0, place - 7) : place]):
            found.append(Span(tokens[place].start, tokens[last].end, "card_security"))
        elif (is_near or _is_long_ago(tokens, place, last)) and not (
            last + 1 < len(tokens) and tokens[last + 1].low in _AGES
        ):
            found.append(Span(tokens[place].start, tokens[last].end, "date_of_birth"))
        place = last + 1
    return found


def _is_cue(tokens: Sequence[Token], place: int) -> bool:
    low = tokens[place].low
    if low in _CUES or low.removesuffix("'s") in _CUES:
        return True
    return low == "b" and [t.low for t in tokens[max(0, place - 2) : place]] == ["d", "o"]


def _is_long_ago(tokens: Sequence[Token], first: int, last: int) -> bool:
    """A whole date of the last century or early in this one: hardly anybody books a table for it."""
    said = [t for t in tokens[first : last + 1] if _is_part(t)]
    return len(said) >= 3 and any(t.text.isdigit() and len(t.text) == 4 and 1910 <= int(t.text) <= 2012 for t in said)


def _is_part(token: Token) -> bool:
    low = token.low
    return (
        (token.text.isdigit() and len(token.text) in (1, 2, 4, 6, 8))
        or low in MONTHS
        or low in ORDINALS
        or low in NUMBERS
    )


def _date(tokens: Sequence[Token], first: int) -> int | None:
    """The last token of a date that begins here: a month with a day or year, or three numbers, or a year alone."""
    if not _is_part(tokens[first]) and tokens[first].low not in ("the", "der", "el", "le"):
        return None
    parts: list[Token] = []
    last, place = first - 1, first
    while place < min(len(tokens), first + _MAX_TOKENS):
        token = tokens[place]
        if _is_part(token):
            if parts and parts[-1].text.isdigit() and len(parts[-1].text) == 4:
                break  # nothing follows a year
            parts.append(token)
            last = place
        elif token.low in FILLERS or (
            token.low in _BETWEEN
            and not (token.low == "." and _ends(tokens, place) and not _is_month(tokens, place + 1))
        ):
            pass
        else:
            break
        place += 1
    if (
        len(parts) == 2
        and first
        and all(p.text.isdigit() and len(p.text) == 2 for p in parts)
        and tokens[last - 1].text in "/-."
    ):
        return last  # 09/27
    has_month = any(p.low in MONTHS for p in parts)
    numbers = len(parts) - has_month
    is_year = len(parts) == 1 and len(parts[0].text) == 4 and parts[0].text[:2] in ("19", "20")
    if (has_month and numbers >= 1) or numbers >= 3 or is_year or _is_said_year(parts):
        return last
    if any(p.text.isdigit() and len(p.text) in (6, 8) for p in parts):
        return last
    return None


def _is_month(tokens: Sequence[Token], place: int) -> bool:
    return place < len(tokens) and tokens[place].low in MONTHS


def _is_said_year(parts: Sequence[Token]) -> bool:
    return (
        len(parts) >= 2
        and parts[0].low in ("nineteen", "twenty", "two")
        and parts[1].low in {*TENS, *TEENS, "thousand"}
    )


def _ends(tokens: Sequence[Token], place: int) -> bool:
    return place + 1 >= len(tokens) or tokens[place + 1].start > tokens[place].end
