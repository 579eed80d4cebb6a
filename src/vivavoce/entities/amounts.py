"""Numbers with all that people hang on them: decimals, halves, dozens, thousands, pounds and pence."""

from __future__ import annotations

import re

from vivavoce.entities.numbers import TENS, UNITS

_SCALES = {"hundred": 100, "thousand": 1000, "grand": 1000, "k": 1000, "million": 1_000_000, "m": 1_000_000}
_COLLECTIVES = {"dozen": 12, "couple": 2, "pair": 2, "score": 20, "tenner": 10, "fiver": 5}
_ZEROS = ("nought", "naught", "nil", "oh")
_FRACTIONS = {"half": 0.5, "quarter": 0.25, "third": 1 / 3}
_MAJOR = frozenset(["pound", "pounds", "quid", "dollar", "dollars", "buck", "bucks", "euro", "euros", "£", "$", "€"])
_MINOR = frozenset(["p", "pence", "penny", "pennies", "cent", "cents", "c"])
_TOKEN = re.compile(r"\d+(?:\.\d+)?|\.\d+|[a-z]+|[£$€%-]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def find_amount(text: str, *, is_money: bool = False) -> float | None:
    """The first number in the text, in digits or in words; with `is_money` pence and cents join it as hundredths."""
    tokens = _tokens(text)
    for place in range(len(tokens)):
        found = _number(tokens, place)
        if found is not None:
            value, after = found
            if is_money:
                value = _money(tokens, value, after)
            is_negative = place > 0 and (
                tokens[place - 1] in ("minus", "negative") or (tokens[place - 1] == "-" and place == 1)
            )
            return -value if is_negative else value
    return None


def _tokens(text: str) -> list[str]:
    said = _THOUSANDS.sub("", text.lower())
    said = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", said)
    return _TOKEN.findall(said)


def _money(tokens: list[str], value: float, after: int) -> float:
    if after < len(tokens) and tokens[after] in _MINOR:
        return round(value / 100, 4)
    if after < len(tokens) and tokens[after] in _MAJOR:
        rest = after + 1 + (tokens[after + 1 : after + 2] == ["and"])
        minor = _number(tokens, rest)
        if minor is not None and minor[0] < 100 and float(minor[0]).is_integer():
            return round(value + minor[0] / 100, 4)
    return value


def _number(tokens: list[str], place: int) -> tuple[float, int] | None:
    """(value, place of the token after it), or None when no number begins here."""
    if place >= len(tokens):
        return None
    token = tokens[place]
    following = tokens[place + 1] if place + 1 < len(tokens) else ""
    if token in ("a", "an", "the"):
        if following in _SCALES and following not in ("k", "m"):
            return _scaled(1.0, tokens, place + 1)
        if following in _COLLECTIVES:
            return float(_COLLECTIVES[following]), place + 2
        return None
    if token in _COLLECTIVES:
        return float(_COLLECTIVES[token]), place + 1
    if token in _FRACTIONS and token != "third":
        rest = place + 1 + (tokens[place + 1 : place + 2] in (["a"], ["an"]))
        if rest < len(tokens) and tokens[rest] in (*_COLLECTIVES, *_SCALES) and tokens[rest] not in ("k", "m"):
            return _FRACTIONS[token] * (_COLLECTIVES.get(tokens[rest]) or _SCALES[tokens[rest]]), rest + 1
        return None if following in ("past", "to") or token == "quarter" else (_FRACTIONS[token], place + 1)
    if token in _ZEROS and following:
        return _scaled(0.0, tokens, place + 1) if following == "point" else None
    if re.fullmatch(r"\d", token) and re.fullmatch(r"\d", following):  # "7 0 3 2" is read out digit by digit
        end = place
        while end < len(tokens) and re.fullmatch(r"\d", tokens[end]):
            end += 1
        return _scaled(float("".join(tokens[place:end])), tokens, end)
    if re.fullmatch(r"\d+(?:\.\d+)?|\.\d+", token):
        return _scaled(float(token), tokens, place + 1)
    if token in UNITS or token in TENS:
        return _in_words(tokens, place)
    return None


def _in_words(tokens: list[str], place: int) -> tuple[float, int]:
    value, after = _small(tokens, place)
    spoken_digits = [value] if value < 10 else []
    while after < len(tokens) and (tokens[after] in UNITS or tokens[after] in TENS):
        nxt, after_next = _small(tokens, after)
        if spoken_digits and nxt < 10:  # "four five six" is read out digit by digit
            spoken_digits.append(nxt)
            value = value * 10 + nxt
        elif 10 <= value < 100 and 10 <= nxt < 100 and not spoken_digits:  # "nineteen eighty five"
            value = value * 100 + nxt
        else:
            break
        after = after_next
    return _scaled(float(value), tokens, after)


def _small(tokens: list[str], place: int) -> tuple[int, int]:
    """A number below a hundred: "twenty three", "nine"."""
    token = tokens[place]
    if token in TENS:
        if place + 1 < len(tokens) and 0 < UNITS.get(tokens[place + 1], 0) < 10:
            return TENS[token] + UNITS[tokens[place + 1]], place + 2
        return TENS[token], place + 1
    return UNITS[token], place + 1


def _scaled(value: float, tokens: list[str], place: int) -> tuple[float, int]:
    """Hundreds, thousands, decimals and halves that follow."""
    if tokens[place : place + 1] == ["point"]:
        digits, place = _decimals(tokens, place + 1)
        if digits:
            value = float(f"{int(value)}.{digits}")
    while place < len(tokens) and tokens[place] in _SCALES:
        value *= _SCALES[tokens[place]]
        scale = _SCALES[tokens[place]]
        place += 1
        rest = place + (tokens[place : place + 1] == ["and"])
        if rest < len(tokens) and tokens[rest] in (*UNITS, *TENS) and scale >= 100:
            more, after = _in_words(tokens, rest)
            if more < scale:
                value, place = value + more, after
                continue
    if place < len(tokens) and tokens[place] == "dozen":
        return value * 12, place + 1
    if tokens[place : place + 2] in (["and", "a"], ["and", "one"]) and place + 2 < len(tokens):
        fraction = _FRACTIONS.get(tokens[place + 2])
        if fraction:
            scale = _SCALES.get(tokens[place + 3], 1) if place + 3 < len(tokens) else 1
            return (value + fraction) * scale, place + 3 + (scale > 1)
    if tokens[place : place + 2] == ["and", "three"] and tokens[place + 2 : place + 3] == ["quarters"]:
        return value + 0.75, place + 3
    return value, place


def _decimals(tokens: list[str], place: int) -> tuple[str, int]:
    digits = ""
    while place < len(tokens):
        token = tokens[place]
        if token.isdigit():
            digits += token
        elif token in UNITS and UNITS[token] < 10:
            digits += str(UNITS[token])
        elif token in ("oh", "o", "nought"):
            digits += "0"
        elif token in TENS and not digits:
            value, place = _small(tokens, place)
            return str(value), place
        else:
            break
        place += 1
    return digits, place
