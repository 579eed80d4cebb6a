"""Runs of digits and letters, written or read out: "four one one one", "b as in bravo", "AB 12 34 56 C"."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from vivavoce.redaction.text import Token
from vivavoce.redaction.vocabulary import DASHES, DIGITS, FILLERS, LETTERS, NATO, NUMBERS, REPEATS, TEENS, TENS

_SIGNS = frozenset("-–./·,#'’:()+")
_MAX_GROUP = 7  # letters of one written group
_STARTS = NUMBERS | frozenset((*REPEATS, *NATO, *LETTERS))
_NEIGHBOURS = ("un", "una", "ein", "eine")  # numbers only among numbers


class Run(Struct, frozen=True):
    """Tokens `first` to `last`, and the characters that they stand for."""

    first: int
    last: int
    value: str
    is_said: bool  # in words rather than in digits
    is_one_by_one: bool  # each digit and letter on its own, as numbers are read out

    @property
    def digits(self) -> int:
        return sum(c.isdigit() for c in self.value)

    @property
    def letters(self) -> int:
        return len(self.value) - self.digits


def runs(tokens: Sequence[Token]) -> list[Run]:
    found: list[Run] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        low = token.low
        is_short = len(low) <= 7 and (len(low) == 1 or token.text.isupper() or _is_glued(tokens, place))
        if not (is_short or token.text[0].isdigit() or low in _STARTS):
            place += 1
            continue
        run = _run(tokens, place)
        if run is None:
            place += 1
        else:
            found.append(run)
            place = run.last + 1
    return found


def _is_glued(tokens: Sequence[Token], place: int) -> bool:
    """Letters that digits follow without a space."""
    return place + 1 < len(tokens) and tokens[place + 1].start == tokens[place].end and tokens[place + 1].text.isdigit()


def _run(tokens: Sequence[Token], first: int) -> Run | None:
    parts: list[str] = []
    places: list[tuple[int, int, bool]] = []  # first and last token of each part, and whether it was said
    place = first
    while place < len(tokens):
        atom = _atom(tokens, place, has_before=bool(parts))
        if atom is not None:
            value, after, is_said = atom
            parts.append(value)
            places.append((place, after - 1, is_said))
            place = after
        elif parts and _joins(tokens, place):
            place += 1
        else:
            break
    while parts and _is_stray(tokens, places[-1], parts[-1], parts):
        parts.pop()
        places.pop()
    while parts and _is_stray(tokens, places[0], parts[0], parts, leads=True):
        parts.pop(0)
        places.pop(0)
    value = "".join(parts)
    if not value or (not any(c.isdigit() for c in value) and len(parts) < 3):
        return None
    is_said = any(is_said for *_, is_said in places)
    is_one_by_one = is_said and all(len(set(part)) == 1 for part in parts)
    return Run(places[0][0], places[-1][1], value, is_said, is_one_by_one)


def _atom(tokens: Sequence[Token], place: int, *, has_before: bool) -> tuple[str, int, bool] | None:
    """(characters, the token after it, whether it was said), or None for what is no part of a run."""
    token = tokens[place]
    low = token.low
    following = tokens[place + 1] if place + 1 < len(tokens) else None
    if token.text.isdigit():
        return token.text, place + 1, False
    if low in REPEATS and following is not None and following.low not in REPEATS:
        repeated = _atom(tokens, place + 1, has_before=True)
        if repeated is not None and len(repeated[0]) <= 2:
            return repeated[0][0] * (REPEATS[low] - 1) + repeated[0], repeated[1], True
        return None
    if low in DIGITS and (low != "o" or has_before or _is_number(following)):
        if following is not None and following.low in ("hundred", "thousand"):
            return DIGITS[low] + ("00" if following.low == "hundred" else "000"), place + 2, True
        return DIGITS[low], place + 1, True
    if low in TEENS:
        return TEENS[low], place + 1, True
    if low in TENS:
        if following is not None and following.low in DIGITS and DIGITS[following.low] != "0":
            return TENS[low] + DIGITS[following.low], place + 2, True
        if (
            following is not None
            and following.low == "-"
            and place + 2 < len(tokens)
            and tokens[place + 2].low in DIGITS
        ):
            return TENS[low] + DIGITS[tokens[place + 2].low], place + 3, True
        return TENS[low] + "0", place + 1, True
    return _letters(tokens, place, following, has_before=has_before)


def _letters(
    tokens: Sequence[Token], place: int, following: Token | None, *, has_before: bool
) -> tuple[str, int, bool] | None:
    token = tokens[place]
    if not token.is_word:
        return None
    low = token.low
    if low in LETTERS:
        return LETTERS[low], place + 1, True
    if low == "x" and following is not None and following.low == "ray":
        return "x", place + 2, True
    explained = _explained(tokens, place)
    if len(low) == 1 or explained > place + 1:
        if explained > place + 1:
            return low[0], explained, True
        return low, place + 1, token.text.islower()
    if low in NATO and (has_before or (following is not None and (following.low in NATO or _is_number(following)))):
        return NATO[low], place + 1, True
    if low in _NEIGHBOURS and has_before and _is_number(following):
        return "1", place + 1, True
    is_glued = following is not None and following.start == token.end and following.text.isdigit()
    follows = place > 0 and tokens[place - 1].end == token.start and tokens[place - 1].text.isdigit()
    if len(low) <= _MAX_GROUP and (is_glued or follows):
        return low, place + 1, False
    if token.text.isupper() and len(low) <= 5 and (has_before or (following is not None and _is_code(following))):
        return low, place + 1, False
    return None


def _explained(tokens: Sequence[Token], place: int) -> int:
    """The token after "b as in bravo" or "b for bravo"."""
    low = tokens[place].low
    rest = [t.low for t in tokens[place + 1 : place + 4]]
    if len(low) == 1:
        if rest[:2] in (["as", "in"], ["like", "in"], ["comme", "dans"]) and len(rest) == 3 and rest[2].startswith(low):
            return place + 4
        if (
            rest[:1] in (["for"], ["like"], ["wie"], ["de"], ["comme"])
            and len(rest) > 1
            and rest[1].startswith(low)
            and len(rest[1]) > 1
        ):
            return place + 3
    return place + 1


def _is_number(token: Token | None) -> bool:
    return token is not None and (
        token.text.isdigit() or token.low in DIGITS or token.low in TEENS or token.low in TENS or token.low in REPEATS
    )


def _is_code(token: Token) -> bool:
    return (
        token.text.isdigit()
        or token.text in "-–"
        or (token.text.isupper() and len(token.text) <= 5 and token.text.isalpha())
    )


def _joins(tokens: Sequence[Token], place: int) -> bool:
    """Whether what stands there only parts two pieces of one value."""
    token = tokens[place]
    following = tokens[place + 1] if place + 1 < len(tokens) else None
    if following is None:
        return False
    if token.low in FILLERS or token.low in DASHES:
        return True
    if token.text == ",":
        if following.text.isdigit() and len(following.text) == 4:
            return tokens[place - 1].text.isdigit() and len(tokens[place - 1].text) == 4
        return following.low in DIGITS or following.low in REPEATS or following.low in TENS or len(following.text) == 1
    if token.text == "." or token.text == ":":
        return following.start == token.end
    return token.text in _SIGNS


def _is_stray(
    tokens: Sequence[Token], place: tuple[int, int, bool], part: str, parts: list[str], *, leads: bool = False
) -> bool:
    """A letter at either end that is a word of its own: "a four", "i", "o"."""
    if len(part) != 1 or not part.isalpha() or place[1] > place[0]:
        return False
    if tokens[place[0]].text.isupper():
        return False
    neighbours = parts[1:2] if leads else parts[-2:-1]
    is_spelled = bool(neighbours) and len(neighbours[0]) == 1 and len(parts) > 3
    return part in "aiyàé" and not is_spelled
