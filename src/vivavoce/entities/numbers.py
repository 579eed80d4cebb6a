"""Numbers as people say them: digits, words, and digits read out one by one."""

from __future__ import annotations

import re

UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16,
    "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
DIGIT_WORDS = {**{word: str(value) for word, value in UNITS.items() if value < 10}, "oh": "0", "o": "0", "nought": "0"}
_REPEATS = {"double": 2, "triple": 3, "treble": 3}
_TOKEN = re.compile(r"[a-z]+|\d+")


def find_number(text: str) -> int | None:
    """The first whole number in the text, whether written in digits or in words."""
    tokens = _TOKEN.findall(text.lower().replace("-", " "))
    for place, token in enumerate(tokens):
        if token.isdigit():
            return int(token)
        if token in UNITS or token in TENS:
            return _spelled(tokens, place)
    return None


def _spelled(tokens: list[str], place: int) -> int:
    value = 0
    while place < len(tokens):
        token = tokens[place]
        if token in TENS:
            value += TENS[token]
        elif token in UNITS:
            return _scaled(value + UNITS[token], tokens, place + 1)
        else:
            break
        place += 1
    return _scaled(value, tokens, place)


def _scaled(value: int, tokens: list[str], place: int) -> int:
    if place < len(tokens) and tokens[place] in ("hundred", "thousand"):
        scaled = value * (100 if tokens[place] == "hundred" else 1000)
        rest = place + 1 + (tokens[place + 1 : place + 2] == ["and"])
        return scaled + (
            _spelled(tokens, rest) if rest < len(tokens) and (tokens[rest] in UNITS or tokens[rest] in TENS) else 0
        )
    return value


def digits(text: str) -> str:
    """All digits in the text in order, those in words included: "oh one double six" is 0166."""
    found: list[str] = []
    repeat = 1
    for token in _TOKEN.findall(text.lower()):
        if token in _REPEATS:
            repeat = _REPEATS[token]
            continue
        if token.isdigit():
            found.append(token if repeat == 1 else token[0] * repeat + token[1:])
        elif token in DIGIT_WORDS:
            found.append(DIGIT_WORDS[token] * repeat)
        elif token in TENS or token in UNITS:
            value = (TENS | UNITS)[token]
            # "twenty one" read within a number is 21, not 201.
            found.append(str(value))
        elif token == "hundred" and found:
            found[-1] += "00"
        repeat = 1
    return _joined_tens(found)


def _joined_tens(parts: list[str]) -> str:
    out: list[str] = []
    for part in parts:
        if (
            out
            and len(part) == 1
            and part != "0"
            and len(out[-1]) == 2
            and out[-1].endswith("0")
            and out[-1][0] in "23456789"
        ):
            out[-1] = out[-1][0] + part
        else:
            out.append(part)
    return "".join(out)


def digit_runs(text: str) -> list[str]:
    """Runs of digits, written or spoken, that are not broken by other words."""
    runs: list[str] = []
    current: list[str] = []
    for token in re.findall(r"[a-z']+|\d+|[^\w\s]", text.lower()):
        if (
            token.isdigit()
            or token in DIGIT_WORDS
            or token in _REPEATS
            or token in TENS
            or token in UNITS
            or (token == "hundred" and current)
        ):
            current.append(token)
        elif token in ("-", "(", ")", "+", ",", "/", "."):
            if token == ".":
                current.append("")
        else:
            if current:
                runs.append(digits(" ".join(current)))
            current = []
    if current:
        runs.append(digits(" ".join(current)))
    return [run for run in runs if run]
