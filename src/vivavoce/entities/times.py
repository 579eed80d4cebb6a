"""Days and times of day as people say them, relative to a given moment."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

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
_THE_DAY = re.compile(rf"\bthe\s+{_DAY}\b")
_IN = re.compile(r"\bin\s+(?:about\s+)?(\w+)\s+(day|week)s?\b")
_WEEKDAY = re.compile(
    r"\b(?:(next|this|coming)\s+)?(mon|tues?|wednes|weds?|thurs?|thu|fri|satur|sat|sun)(?:day)?s?\b(\s+week)?"
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
    said = _ordinals_as_digits(text.lower())
    today = now.date()
    for find in (_absolute, _relative, _weekday, _day_of_month):
        found = find(said, today, day_first)
        if found is not None:
            return found
    return None


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
    if re.search(r"\b(?:a )?week (?:from )?today\b|\btoday week\b", said):
        return today + timedelta(days=7)
    if re.search(r"\b(today|tonight|this (morning|afternoon|evening)|right away|straight away)\b", said):
        return today
    if match := _IN.search(said):
        count = int(match[1]) if match[1].isdigit() else UNITS.get(match[1], 1 if match[1] in ("a", "an") else None)
        if count is not None:
            return today + timedelta(days=count * (7 if match[2] == "week" else 1))
    return None


def _weekday(said: str, today: date, _: bool) -> date | None:
    match = _WEEKDAY.search(said)
    if match is None:
        return None
    ahead = (_PREFIX[match[2]] - today.weekday()) % 7 or 7
    if match[3]:
        ahead += 7
    return today + timedelta(days=ahead)


def _day_of_month(said: str, today: date, _: bool) -> date | None:
    match = _THE_DAY.search(said)
    if match is None:
        return None
    day = int(match[1])
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


def _ordinals_as_digits(said: str) -> str:
    """ "the twenty first" becomes "the 21st"."""

    def compound(match: re.Match[str]) -> str:
        return f"{TENS[match[1]] + ORDINALS[match[2]]}th"

    said = re.sub(rf"\b({'|'.join(TENS)})[ -]({'|'.join(ORDINALS)})\b", compound, said)
    return re.sub(
        rf"\b(?<!the )({'|'.join(ORDINALS)})\b(?= of| (?:{_MONTH}))|(?<=the )({'|'.join(ORDINALS)})\b",
        lambda m: f"{ORDINALS[m[1] or m[2]]}th",
        said,
    )


_CLOCK = re.compile(r"\b(\d{1,2})[:.h](\d{2})\s*([ap])?\.?\s*m?\b")
_HOUR = re.compile(r"\b(\d{1,2})\s*([ap])\.?\s*m\b\.?")
_OCLOCK = re.compile(r"\b(\d{1,2})\s*o'?\s?clock\b")
_PAST = re.compile(r"\b(half|quarter|twenty|ten|five)\s+(past|to)\s+(\d{1,2})\b")
_AT = re.compile(
    r"\b(?:at|around|about|by|from|for|the)\s+(\d{1,2})\b(?!\s*(?:of|st|nd|rd|th|people|persons|days?|pounds?))"
)
_BARE = re.compile(r"^\W*(\d{1,2})\W*(?:please|then|is fine|works|would be good|sounds good)?\W*$")
_MINUTES = {"half": 30, "quarter": 15, "twenty": 20, "ten": 10, "five": 5}


def find_time(text: str, *, likely: tuple[str, ...] = ()) -> str | None:
    """A time of day as HH:MM. `likely` times (HH:MM) settle whether three is in the night or in the afternoon."""
    said = _hours_as_digits(text.lower())
    is_afternoon = bool(re.search(r"\b(afternoon|evening|tonight|pm|p\.m)\b", said))
    is_morning = bool(re.search(r"\b(morning|am|a\.m)\b", said))
    if re.search(r"\b(noon|midday)\b", said):
        return "12:00"
    if re.search(r"\bmidnight\b", said):
        return "00:00"
    if match := _PAST.search(said):
        minutes = _MINUTES[match[1]]
        hour, minute = (int(match[3]), minutes) if match[2] == "past" else (int(match[3]) - 1, 60 - minutes)
        return _settled(hour, minute, None, is_morning, is_afternoon, likely)
    if match := _CLOCK.search(said):
        return _settled(int(match[1]), int(match[2]), match[3], is_morning, is_afternoon, likely)
    for pattern in (_HOUR, _OCLOCK, _AT, _BARE):
        if match := pattern.search(said):
            half = match[2] if pattern is _HOUR else None
            return _settled(int(match[1]), 0, half, is_morning, is_afternoon, likely)
    number = find_number(said) if likely else None
    if number is not None and 1 <= number <= 12:  # a bare hour counts when it is one of those offered
        found = _settled(number, 0, None, is_morning, is_afternoon, likely)
        return found if found in likely else None
    return None


def _settled(
    hour: int, minute: int, half: str | None, is_morning: bool, is_afternoon: bool, likely: tuple[str, ...]
) -> str | None:
    if not (0 <= hour <= 23 and 0 <= minute <= 59):
        return None
    if hour <= 12:
        if half == "p" or (half is None and is_afternoon and not is_morning):
            hour = hour % 12 + 12
        elif half == "a" or (half is None and is_morning):
            hour %= 12
        else:
            choices = {f"{h:02d}:{minute:02d}" for h in (hour % 12, hour % 12 + 12)}
            fitting = [time for time in likely if time in choices]
            if fitting:
                return fitting[0]
            if 1 <= hour <= 7:
                hour += 12  # nobody means four in the morning
    return f"{hour:02d}:{minute:02d}"


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
