"""How values are written on pages: times, durations, shares, JSON; and words of a search, marked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec
from markupsafe import Markup, escape

from vivavoce.domain.words import words

MOST_SHOWN = 20_000  # characters of one value
_WORD = re.compile(r"\w+")


def moment(value: datetime | str | None, zone: ZoneInfo) -> Markup:
    """A time where the server's clock is, to the second; as an element that holds it in full."""
    if not value:
        return Markup("–")
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    local = _local(when, zone)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        when.isoformat(), local.isoformat(timespec="milliseconds"), f"{local:%d %b %Y, %H:%M:%S}"
    )


def day_time(value: str, zone: ZoneInfo) -> Markup:
    """A time to the minute, with the year where it is another; in full beside it."""
    local = _local(datetime.fromisoformat(value), zone)
    year = "" if local.year == datetime.now(zone).year else f" {local.year}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        value, f"{local:%d %b %Y, %H:%M:%S}", f"{local:%d %b}{year}, {local:%H:%M}"
    )


def clock(value: datetime | str, zone: ZoneInfo) -> str:
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{_local(when, zone):%H:%M:%S}"


def _local(when: datetime, zone: ZoneInfo) -> datetime:
    try:
        return when.astimezone(zone)
    except OverflowError:  # the end of the year 9999 is in no other zone
        return when


def milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def since(moment: str) -> str:
    """How long ago that was."""
    return duration(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))


def share(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.0f} %"


def number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def size(value: int) -> str:
    amount = float(value)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def as_json(value: Any) -> str:
    """Pretty-printed, and cut where it would be a page of its own."""
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n… {len(text) - MOST_SHOWN:,} characters more"


def short_json(value: Any, most: int = 160) -> str:
    text = value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)
    return text if len(text) <= most else text[: most - 1] + "…"


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def marked(text: str, phrases: Sequence[Sequence[str]]) -> Markup:
    """The words of a search, marked in a text."""
    wanted = {word for phrase in phrases for word in phrase}
    parts: list[Markup] = []
    end = 0
    for match in _WORD.finditer(text):
        if wanted & set(words(match.group())):
            parts += [
                escape(text[end : match.start()]),
                Markup("<mark>"),
                escape(match.group()),
                Markup("</mark>"),
            ]
            end = match.end()
    parts.append(escape(text[end:]))
    return Markup("").join(parts)


def segment(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


def query(pairs: Sequence[tuple[str, str]]) -> str:
    return urlencode(pairs)


FILTERS: dict[str, Callable[..., Any]] = {
    "moment": moment,
    "clock": clock,
    "day_time": day_time,
    "milliseconds": milliseconds,
    "duration": duration,
    "since": since,
    "share": share,
    "number": number,
    "size": size,
    "as_json": as_json,
    "short_json": short_json,
    "marked": marked,
    "segment": segment,
}
