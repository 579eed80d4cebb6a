"""Names, telephone numbers and e-mail addresses as people give them."""

from __future__ import annotations

import re

import phonenumbers

from vivavoce.entities.numbers import digit_runs

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_SPOKEN_EMAIL = re.compile(
    r"\b([\w.+-]+(?:\s+(?:dot|underscore|dash)\s+[\w+-]+)*)\s+at\s+([\w-]+(?:\s+dot\s+[\w-]+)+)\b"
)
_INTRODUCED = re.compile(
    r"\b(?:my (?:full )?name(?:'s| is)|name(?:'s| is)?|i am|i'm|this is|it is|it's|that's|that would be|under(?: the name(?: of)?)?|speaking is|the name's)\s+"
    r"(?:mr\.?|mrs\.?|ms\.?|miss|dr\.?)?\s*([a-zà-ÿ'][\w'’-]*(?:\s+[a-zà-ÿ'][\w'’-]*){0,3})",
    re.IGNORECASE,
)
_BOOKED_AS = re.compile(
    r"\b(?:under|in the name of|(?:book|put) (?:it|that|me)(?: down)? (?:as|under|for)|they call me|i'm called|i am called|name is|name's)\s+((?:the name\s+)?[a-zà-ÿ'][\w'’-]*(?:\s+[a-zà-ÿ'][\w'’-]*){0,3})",
    re.IGNORECASE,
)
_LAST_FIRST = re.compile(
    r"\b([a-zà-ÿ][\w'’-]+),?\s+(?:and\s+)?(?:my\s+)?first(?:\s+name)?(?:\s+is)?,?\s+([a-zà-ÿ][\w'’-]+)", re.IGNORECASE
)
_NOT_NAMES = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "but",
        "please",
        "thanks",
        "thank",
        "you",
        "yes",
        "yeah",
        "yep",
        "no",
        "not",
        "sure",
        "of",
        "course",
        "hi",
        "hello",
        "hey",
        "good",
        "morning",
        "afternoon",
        "evening",
        "my",
        "name",
        "is",
        "it's",
        "its",
        "i",
        "i'm",
        "am",
        "me",
        "this",
        "that",
        "here",
        "speaking",
        "calling",
        "for",
        "on",
        "at",
        "to",
        "can",
        "could",
        "would",
        "will",
        "sir",
        "madam",
        "okay",
        "ok",
        "well",
        "um",
        "uh",
        "er",
        "so",
        "just",
        "go",
        "ahead",
        "with",
        "under",
        "booking",
        "book",
        "repair",
        "number",
        "phone",
        "telephone",
        "is's",
        "first",
        "last",
        "surname",
        "family",
        "full",
        "be",
        "mister",
        "mr",
        "mrs",
        "ms",
        "miss",
        "and's",
        "it",
        "there",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "zero",
        "oh",
        "double",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "tomorrow",
        "today",
        "puncture",
        "brakes",
        "gears",
        "service",
        "bike",
    ]
)


def find_email(text: str) -> str | None:
    if match := _EMAIL.search(text):
        return match.group().rstrip(".").lower()
    if match := _SPOKEN_EMAIL.search(text.lower()):
        local = re.sub(
            r"\s+(dot|underscore|dash)\s+", lambda m: {"dot": ".", "underscore": "_", "dash": "-"}[m[1]], match[1]
        )
        return f"{local}@" + re.sub(r"\s+dot\s+", ".", match[2])
    return None


def find_phone(text: str, regions: tuple[str, ...] = ("GB", "US")) -> str | None:
    """A telephone number: in E.164 when it was given with its country code, else its digits as said."""
    for region in regions:
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.POSSIBLE):
            raw = match.raw_string
            if raw.strip().startswith("+"):
                return str(phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164))
            found = re.sub(r"\D", "", raw)
            if len(found) >= 7:
                return found
    runs = digit_runs(text)
    longest = max(runs, key=len, default="")
    if 7 <= len(longest) <= 15:
        return longest
    joined = "".join(runs)
    return joined if 7 <= len(joined) <= 15 else None


def find_name(text: str) -> str | None:
    """A personal name, capitalised. A bare answer of one to three words is taken for one; a sentence is not."""
    said = re.sub(r"[.!?]+$", "", text.strip())
    said = re.sub(
        r"(?:,?\s*(?:that's|that is|spelled|spelt))?(?:[\s,-]+[A-Za-z]\b(?!')){3,}", "", said
    )  # spelled out after it
    if match := _LAST_FIRST.search(said):
        found = _clean([match[2], match[1]])
        if found:
            return found
    parts = [_clean(part.split()) for part in said.split(",")]
    if len(parts) == 2 and parts[0] and parts[1] and parts[1].endswith(f" {parts[0].split()[-1]}"):
        return parts[1]  # "Hart, Nathan Hart"
    if match := _BOOKED_AS.search(said):
        return _clean(match[1].split())
    for match in _INTRODUCED.finditer(said):
        found = _clean(match[1].split())
        if found:
            return found
    words = re.findall(r"[^\W\d_][\w'’-]*", re.split(r"\d", said)[0])
    kept = [word for word in words if word.lower() not in _NOT_NAMES]
    if 1 <= len(kept) <= 3 and len(words) <= 6:
        return _clean(kept)
    return None


def _clean(words: list[str]) -> str | None:
    kept: list[str] = []
    for word in words:
        if word.lower() in _NOT_NAMES:
            if kept:
                break
            continue
        kept.append(word)
    if not kept:
        return None
    return " ".join(
        word if not word.islower() else "-".join(part[:1].upper() + part[1:] for part in word.split("-"))
        for word in kept
    )
