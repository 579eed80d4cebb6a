"""Is this text a value of that kind? Pure: the moment is handed in, in the conversation's time zone."""

from __future__ import annotations

import re
from datetime import datetime, time
from functools import lru_cache
from typing import Any, assert_never

import phonenumbers
import regex
from msgspec import Struct

from vivavoce.domain.entity import (
    Address,
    Alphanumeric,
    Currency,
    Date,
    Email,
    Enum,
    FreeText,
    Kind,
    Name,
    Numeric,
    Phone,
    Quantity,
    Time,
)
from vivavoce.entities.amounts import find_amount
from vivavoce.entities.choices import find_choice
from vivavoce.entities.numbers import digit_runs
from vivavoce.entities.people import find_email, find_name
from vivavoce.entities.spelling import readings
from vivavoce.entities.times import find_date, find_time, is_relative_date

MATCH_SECONDS = 0.05  # for an author's pattern on one text
MAX_CHARACTERS = 1000
LARGEST = 10**15  # of a number: beyond it, floats are no longer whole numbers
_PLUS = re.compile(r"\bplus\b", re.IGNORECASE)
_CORRECTED = re.compile(
    r"\b(?:no,? wait|sorry|i mean|make that|actually|or rather|scratch that|correction)\b[,:]?", re.IGNORECASE
)


class Valid(Struct, frozen=True, kw_only=True):
    """`value` is the canonical text, `typed` the same as a number where it is one, `parts` what else can be told of it."""

    value: str
    typed: str | int | float
    parts: dict[str, Any] = {}


class Refused(Struct, frozen=True, kw_only=True):
    """`reason` is a sentence for the model, which asks again; it says what is wanted and repeats nothing."""

    reason: str


def validate(text: str, kind: Kind, now: datetime) -> Valid | Refused:
    """The value that the text gives; what comes after "no, wait" or "sorry" counts before what came ahead of it."""
    said = text.strip()[:MAX_CHARACTERS]
    if not said:
        return Refused(reason="nothing was given")
    if not isinstance(kind, (Address, FreeText)):
        after = _CORRECTED.split(said)[-1].strip()
        if after and after != said and isinstance(found := _validate(after, kind, now), Valid):
            return found
    return _validate(said, kind, now)


def _validate(said: str, kind: Kind, now: datetime) -> Valid | Refused:
    match kind:
        case Numeric() | Quantity() | Currency():
            return _amount(said, kind)
        case Alphanumeric() | Email():
            return _email(said, kind) if isinstance(kind, Email) else _alphanumeric(said, kind.pattern, kind.group)
        case Enum():
            found = find_choice(said, kind.options)
            return (
                _text(found) if found is not None else Refused(reason=f"it must be one of: {', '.join(kind.options)}")
            )
        case Date():
            return _date(said, kind, now)
        case Time():
            return _time(said, kind)
        case Phone():
            return _phone(said, kind)
        case Name():
            name = find_name(said)
            return _text(name) if name is not None else Refused(reason="no name was given")
        case Address() | FreeText():
            return _text(said)
        case _:
            assert_never(kind)


def _text(value: str) -> Valid:
    return Valid(value=value, typed=value)


def _amount(said: str, kind: Numeric | Quantity | Currency) -> Valid | Refused:
    found = find_amount(said, is_money=isinstance(kind, Currency))
    if found is None:
        return Refused(reason="no number was given")
    if abs(found) > LARGEST:
        return Refused(reason="the number is too large")
    is_whole = float(found).is_integer()
    if not isinstance(kind, Currency) and not kind.has_decimal and not is_whole:
        return Refused(reason="it must be a whole number")
    if kind.least is not None and found < kind.least:
        return Refused(reason=f"it must be at least {kind.least:g}")
    if kind.most is not None and found > kind.most:
        return Refused(reason=f"it must be at most {kind.most:g}")
    typed: int | float = found
    if isinstance(kind, Numeric):
        typed = float(found) if kind.has_decimal else int(found)
    elif is_whole:
        typed = int(found)
    return Valid(value=f"{found:.15g}" if not is_whole else str(int(found)), typed=typed)


def _alphanumeric(said: str, pattern: str, group: int) -> Valid | Refused:
    if not pattern:
        return _text(said)
    compiled = _compiled(pattern)
    if compiled is None:
        return Refused(reason="its pattern is not a regular expression")
    candidates = list(dict.fromkeys(readings(said)))
    try:
        for find in (compiled.fullmatch, compiled.search):
            for candidate in candidates:
                match = find(candidate, timeout=MATCH_SECONDS)
                if match is not None and match.group():
                    value = match.group(group) if group <= compiled.groups else match.group()
                    return _text(value or match.group())
    except TimeoutError:
        return Refused(reason="its pattern took too long")
    return Refused(reason="it does not have the form that is wanted")


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, ValueError):
        return None


def _email(said: str, kind: Email) -> Valid | Refused:
    found = find_email(said)
    if found is None:
        return Refused(reason="no e-mail address was given")
    if kind.pattern:
        return _alphanumeric(found, kind.pattern, kind.group)
    return _text(found)


def _date(said: str, kind: Date, now: datetime) -> Valid | Refused:
    found = find_date(said, now, day_first=kind.day_first)
    if found is None:
        return Refused(reason="no day was given that exists in the calendar")
    if not kind.allows_relative and is_relative_date(said):
        return Refused(reason="it must be a date with day and month, not one relative to today")
    value = found.isoformat()
    if kind.earliest and value < kind.earliest:
        return Refused(reason=f"it must not be before {kind.earliest}")
    if kind.latest and value > kind.latest:
        return Refused(reason=f"it must not be after {kind.latest}")
    return _text(value)


def _time(said: str, kind: Time) -> Valid | Refused:
    found = find_time(said, pivot=kind.pivot, within=(kind.earliest, kind.latest))
    if found is None:
        return Refused(reason="no time of day was given")
    if kind.earliest and kind.latest and kind.latest < kind.earliest:  # a window over midnight
        if kind.latest < found < kind.earliest:
            return Refused(reason=f"it must be between {kind.earliest} and {kind.latest}")
    elif (kind.earliest and found < kind.earliest) or (kind.latest and found > kind.latest):
        return Refused(reason=f"it must be between {kind.earliest or '00:00'} and {kind.latest or '23:59'}")
    try:
        return _text(time.fromisoformat(found).strftime(kind.format))
    except ValueError:
        return _text(found)


def _phone(said: str, kind: Phone) -> Valid | Refused:
    written = _PLUS.sub("+", said)
    if not kind.is_checked:
        digits = "".join(digit_runs(written))
        return _text(digits) if 7 <= len(digits) <= 15 else Refused(reason="no telephone number was given")
    regions = tuple("GB" if region.upper() == "UK" else region.upper() for region in kind.regions)
    for candidate in _phone_candidates(written):
        for region in regions or ("GB", "US"):
            number = _parsed(candidate, region)
            if number is None or not phonenumbers.is_valid_number(number):
                continue
            # +1 and its kin are shared by many countries: what counts is the calling code.
            if regions and number.country_code not in {phonenumbers.country_code_for_region(r) for r in regions}:
                continue
            value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            parts = {"country_code": str(number.country_code), "number": str(number.national_number)}
            return Valid(value=value, typed=value, parts=parts)
    where = f" of {', '.join(regions)}" if regions else ""
    return Refused(reason=f"it is not a valid telephone number{where}")


def _phone_candidates(said: str) -> list[str]:
    runs = digit_runs(said)
    sign = "+" if re.search(r"\+\s*\w", said) else ""
    return [said, sign + "".join(runs), *(run for run in sorted(runs, key=len, reverse=True) if len(run) >= 7)]


def _parsed(text: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
