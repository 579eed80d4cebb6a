"""Days and times of day as people say them, relative to a given moment."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import NamedTuple

from vivavoce.entities.numbers import ORDINALS, TENS, UNITS, find_number

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH = "|".join(f"{m[:3]}(?:{m[3:]})?" if len(m) > 3 else m for m in MONTHS)
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_ISO = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_NUMERIC = re.compile(r"\b(\d{1,2})[/.](\d{1,2})(?:[/.](\d{2,4}))?\b")
_DAY_MONTH = re.compile(rf"\b{_DAY}\s*(?:of\s+)?({_MONTH})\b(?:\s*,?\s*(\d{{4}}))?")
_MONTH_DAY = re.compile(rf"\b({_MONTH})\s+(?:the\s+)?{_DAY}\b(?:\s*,?\s*(\d{{4}}))?")
_THE_DAY = re.compile(r"\b(?:the\s+(\d{1,2})(?:st|nd|rd|th)?|(\d{1,2})(?:st|nd|rd|th))\b")
_IN = re.compile(r"\bin\s+(?:about\s+)?(\w+)\s+(day|week|fortnight)s?\b")
_AGO = re.compile(r"\b(\w+)\s+(day|week|fortnight)s?\s+ago\b")
_DAYS_OF = {"day": 1, "week": 7, "fortnight": 14}
_WEEKDAY = re.compile(
    r"\b(?:(next|this|coming|last)\s+)?(mon|tues?|wednes|weds?|thurs?|thu|fri|satur|sat|sun)(?:day)?s?\b(\s+week)?"
)
_PREFIX = {
    "mon": 0,
    "tue": 1,
    "tues": 1,
    "wednes": 2,
    "wed": 2,
    "weds": 2,
    "thu": 3,
    "thur": 3,
    "thurs": 3,
    "fri": 4,
    "satur": 5,
    "sat": 5,
    "sun": 6,
}


def find_date(text: str, now: datetime, *, day_first: bool = True) -> date | None:
    """The day that is meant; a day without a year is the next one there is."""
    said = _ordinals_as_digits(_years_as_digits(text.lower()))
    today = now.date()
    if any(pattern.search(said) for pattern in (_ISO, _DAY_MONTH, _MONTH_DAY, _NUMERIC)):
        return _absolute(said, today, day_first)  # a day that is not in the calendar is none, whatever else was said
    for find in (_relative, _weekday, _day_of_month):
        found = find(said, today, day_first)
        if found is not None:
            return found
    return None


def is_relative_date(text: str) -> bool:
    """True when the day is told by its distance from today or by its weekday alone: "tomorrow", "next Friday"."""
    said = _ordinals_as_digits(_years_as_digits(text.lower()))
    some_day = date(2024, 1, 1)
    if _absolute(said, some_day, True) is not None:
        return False
    return _relative(said, some_day, True) is not None or _weekday(said, some_day, True) is not None


def _absolute(said: str, today: date, day_first: bool) -> date | None:
    if match := _ISO.search(said):
        return _date(int(match[1]), int(match[2]), int(match[3]))
    if match := _DAY_MONTH.search(said):
        return _next(today, _month(match[2]), int(match[1]), match[3])
    if match := _MONTH_DAY.search(said):
        return _next(today, _month(match[1]), int(match[2]), match[3])
    if match := _NUMERIC.search(said):
        first, second = int(match[1]), int(match[2])
        day, month = (first, second) if day_first or first > 12 else (second, first)
        return _next(today, month, day, match[3])
    return None


def _relative(said: str, today: date, _: bool) -> date | None:
    if re.search(r"\bday after tomorrow\b|\bovermorrow\b", said):
        return today + timedelta(days=2)
    if re.search(r"\btomorrow\b|\btmrw\b|\btomorow\b", said):
        return today + timedelta(days=1)
    if re.search(r"\bday before yesterday\b", said):
        return today - timedelta(days=2)
    if re.search(r"\byesterday\b", said):
        return today - timedelta(days=1)
    if match := _AGO.search(said):
        count = int(match[1]) if _is_small(match[1]) else UNITS.get(match[1], 1 if match[1] in ("a", "an") else None)
        if count is not None:
            return today - timedelta(days=count * _DAYS_OF[match[2]])
    if re.search(r"\b(?:a )?fortnight(?: from)? today\b|\bin a fortnight\b", said):
        return today + timedelta(days=14)
    if re.search(r"\b(?:a )?week (?:from )?today\b|\btoday week\b", said):
        return today + timedelta(days=7)
    if re.search(r"\b(today|tonight|this (morning|afternoon|evening)|right away|straight away)\b", said):
        return today
    if match := _IN.search(said):
        count = int(match[1]) if _is_small(match[1]) else UNITS.get(match[1], 1 if match[1] in ("a", "an") else None)
        if count is not None:
            return today + timedelta(days=count * _DAYS_OF[match[2]])
    return None


def _is_small(text: str) -> bool:
    """True for a count of days or weeks that a calendar can follow."""
    return text.isdecimal() and len(text) <= 4


def _weekday(said: str, today: date, _: bool) -> date | None:
    match = _WEEKDAY.search(said)
    if match is None:
        return None
    ahead = (_PREFIX[match[2]] - today.weekday()) % 7 or 7
    if match[1] == "last":
        return today + timedelta(days=ahead - 7)
    if match[3] or re.search(r"\bweek on\s*$", said[: match.start()]):
        ahead += 7
    return today + timedelta(days=ahead)


def _day_of_month(said: str, today: date, _: bool) -> date | None:
    match = _THE_DAY.search(said)
    if match is None:
        return None
    day = int(match[1] or match[2])
    for months in range(13):
        year, month = divmod(today.month - 1 + months, 12)
        found = _date(today.year + year, month + 1, day)
        if found is not None and found >= today:
            return found
    return None


def _next(today: date, month: int, day: int, year: str | None) -> date | None:
    if year is not None:
        return _date(int(year) + (2000 if len(year) == 2 else 0), month, day)
    found = _date(today.year, month, day)
    return found if found is None or found >= today else _date(today.year + 1, month, day)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _month(name: str) -> int:
    return next(i for i, month in enumerate(MONTHS, 1) if month.startswith(name[:3]))


_YEAR = re.compile(
    rf"\b(?:(nineteen|twenty|eighteen)[ -](?:hundred(?: and)? ?)?(?:oh[ -])?({'|'.join(TENS)}|{'|'.join(w for w, v in UNITS.items() if v)})(?:[ -]({'|'.join(w for w, v in UNITS.items() if 0 < v < 10)}))?"
    rf"|two thousand(?:(?: and)? ({'|'.join(w for w, v in UNITS.items() if v)}|twenty)(?:[ -]({'|'.join(w for w, v in UNITS.items() if 0 < v < 10)}))?)?)\b(?!\s*(?:of|{_MONTH})\b)"
)
_CENTURIES = {"eighteen": 1800, "nineteen": 1900, "twenty": 2000}


def _years_as_digits(said: str) -> str:
    """ "may third nineteen eighty five" becomes "may third 1985"."""

    def written(match: re.Match[str]) -> str:
        if match[1]:
            value = TENS.get(match[2], 0) or UNITS.get(match[2], 0)
            if match[3]:
                if match[2] not in TENS:
                    return match.group()
                value += UNITS[match[3]]
            elif match[1] == "twenty" and value < 10:  # "twenty five" is a number, "twenty twenty five" a year
                return match.group()
            return str(_CENTURIES[match[1]] + value)
        tail = (TENS | UNITS).get(match[4] or "", 0) + UNITS.get(match[5] or "", 0)
        return str(2000 + tail)

    return _YEAR.sub(written, said)


def _ordinals_as_digits(said: str) -> str:
    """ "the twenty first" becomes "the 21st"."""

    def compound(match: re.Match[str]) -> str:
        return f"{TENS[match[1]] + ORDINALS[match[2]]}th"

    said = re.sub(rf"\b({'|'.join(TENS)})[ -]({'|'.join(ORDINALS)})\b", compound, said)
    return re.sub(
        rf"\b(?<!the )({'|'.join(ORDINALS)})\b(?= of| (?:{_MONTH}))|(?<=the )({'|'.join(ORDINALS)})\b|^\W*({'|'.join(ORDINALS)})\W*$",
        lambda m: f"{ORDINALS[m[1] or m[2] or m[3]]}th",
        re.sub(rf"\b({_MONTH}) ({'|'.join(ORDINALS)})\b", lambda m: f"{m[1]} {ORDINALS[m[2]]}th", said),
    )


_CLOCK = re.compile(r"\b(\d{1,2})[:.h](\d{2})\s*([ap])?\.?\s*m?\b")
_HOUR = re.compile(r"\b(\d{1,2})\s*([ap])\.?\s*m\b\.?")
_OCLOCK = re.compile(r"\b(\d{1,2})\s*o'?\s?clock\b")
_PAST = re.compile(r"\b(half|quarter|twenty|ten|five)\s+(past|to)\s+(\d{1,2})\b")
_AT = re.compile(
    r"\b(?:at|around|about|by|from|for|the)\s+(\d{1,2})\b(?!\s*(?:of|st|nd|rd|th|people|persons|days?|pounds?))"
)
_IN_THE = re.compile(r"\b(\d{1,2})\s+(?:in the|tonight|tomorrow|this)\b")
_MILITARY = re.compile(r"\b([01]\d|2[0-3])([0-5]\d)\b(?!\s*\d)")
_BARE = re.compile(r"^\W*(\d{1,2})\W*(?:please|then|is fine|works|would be good|sounds good)?\W*$")
_MINUTES = {"half": 30, "quarter": 15, "twenty": 20, "ten": 10, "five": 5}


class _Hints(NamedTuple):
    """What settles whether three is in the night or in the afternoon."""

    is_morning: bool
    is_afternoon: bool
    likely: tuple[str, ...]  # HH:MM
    pivot: str  # HH:MM: earlier hours are of the afternoon
    within: tuple[str, str]  # HH:MM each, "" for open


def find_time(
    text: str, *, likely: tuple[str, ...] = (), pivot: str = "", within: tuple[str, str] = ("", "")
) -> str | None:
    """A time of day as HH:MM. An hour without its half is the likely one, the one within the window, or that of the pivot."""
    said = _hours_as_digits(text.lower())
    is_afternoon = bool(re.search(r"\b(afternoon|evening|tonight|pm|p\.m)\b", said))
    is_morning = bool(re.search(r"\b(morning|am|a\.m)\b", said))
    hints = _Hints(is_morning, is_afternoon, likely, pivot, within)
    if re.search(r"\b(noon|midday)\b", said):
        return "12:00"
    if re.search(r"\bmidnight\b", said):
        return "00:00"
    if match := _PAST.search(said):
        minutes = _MINUTES[match[1]]
        hour, minute = (int(match[3]), minutes) if match[2] == "past" else (int(match[3]) - 1, 60 - minutes)
        return _settled(hour, minute, None, hints)
    if match := _CLOCK.search(said):
        return _settled(int(match[1]), int(match[2]), match[3], hints)
    if match := _MILITARY.search(said):
        return f"{match[1]}:{match[2]}"
    for pattern in (_HOUR, _OCLOCK, _AT, _IN_THE, _BARE):
        if match := pattern.search(said):
            half = match[2] if pattern is _HOUR else None
            return _settled(int(match[1]), 0, half, hints)
    number = find_number(said) if likely or any(within) else None
    if (
        number is not None and 1 <= number <= 12
    ):  # a bare hour counts when it is one of those offered, or within the window
        found = _settled(number, 0, None, hints)
        return found if found in likely or (found and _within({found}, within)) else None
    return None


def _settled(hour: int, minute: int, half: str | None, hints: _Hints) -> str | None:
    if not (0 <= hour <= 23 and 0 <= minute <= 59):
        return None
    if hour <= 12:
        if half == "p" or (half is None and hints.is_afternoon and not hints.is_morning):
            hour = hour % 12 + 12
        elif half == "a" or (half is None and hints.is_morning):
            hour %= 12
        else:
            choices = {f"{h:02d}:{minute:02d}" for h in (hour % 12, hour % 12 + 12)}
            fitting = [time for time in hints.likely if time in choices] or _within(choices, hints.within)
            if fitting:
                return fitting[0]
            if hints.pivot:
                return max(choices) if f"{hour % 12:02d}:{minute:02d}" < hints.pivot else min(choices)
            if 1 <= hour <= 7:
                hour += 12  # nobody means four in the morning
    return f"{hour:02d}:{minute:02d}"


def _within(choices: set[str], window: tuple[str, str]) -> list[str]:
    """The one choice that lies in the window; nothing when both do or neither."""
    earliest, latest = window
    if not earliest and not latest:
        return []
    inside = [c for c in choices if (earliest or "00:00") <= c <= (latest or "23:59")]
    return inside if len(inside) == 1 else []


def _hours_as_digits(said: str) -> str:
    words = {w: v for w, v in UNITS.items() if 1 <= v <= 12}
    return re.sub(
        rf"\b({'|'.join(words)})\s+(thirty|fifteen|forty five|forty-five)\b",
        lambda m: f"{words[m[1]]}:{ {'thirty': '30', 'fifteen': '15'}.get(m[2], '45') }".replace(" ", ""),
        re.sub(
            rf"\b({'|'.join(words)})\b(?=\s*(?:o'?\s?clock|[ap]\.?\s?m\b|in the|please|works|$|\W*$))|(?<=\bat )({'|'.join(words)})\b|(?<=past )({'|'.join(words)})\b|(?<=to )({'|'.join(words)})\b",
            lambda m: str(words[next(g for g in m.groups() if g)]),
            said,
        )
        if not re.search(rf"\b({'|'.join(words)})\s+(thirty|fifteen|forty)", said)
        else said,
    )
