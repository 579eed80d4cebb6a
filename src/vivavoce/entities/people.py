"""Names, telephone numbers and e-mail addresses as people give them."""

from __future__ import annotations

import re

import phonenumbers

from vivavoce.entities.numbers import DIGIT_WORDS, digit_runs
from vivavoce.entities.spelling import EXPLAINED

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_INTRODUCED = re.compile(
    r"\b(?:my (?:full )?name(?:'s| is)|name(?:'s| is)?|i am|i'm|im|this is|it is|it's|that's|that would be|under(?: the name(?: of)?)?|speaking is|the name's)\s+"
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
_FIRST_LAST = re.compile(
    r"\bfirst name(?:'s| is)?,?\s+([a-zà-ÿ][\w'’-]+)[,.]?\s+(?:and\s+)?(?:my\s+)?(?:surname|last name|family name|second name)(?:'s| is)?,?\s+([a-zà-ÿ][\w'’-]+)",
    re.IGNORECASE,
)
_NO_NAME = re.compile(
    r"\b(?:rather not|prefer not|don't want|do not want|won't (?:say|tell|give)|not (?:going to|telling|saying|giving)|none of your|why do you|what do you|"
    r"i (?:want|need|would like|have)|i'd like|can i|could i|can you|could you|do i|is there|how much|what time)\b",
    re.IGNORECASE,
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


_SIGNS = {"dot": ".", "point": ".", "underscore": "_", "dash": "-", "hyphen": "-", "plus": "+"}
_NOT_LOCAL = frozenset(["is", "it's", "its", "my", "email", "e-mail", "address", "mail", "that's", "thats", "it", "to", "on", "as", "me", "use", "be", "yes", "so"])  # fmt: skip


def find_email(text: str) -> str | None:
    if match := _EMAIL.search(text):
        return match.group().rstrip(".").lower()
    tokens = re.findall(r"[\w.+'-]+", EXPLAINED.sub(r"\1", text.lower()))
    for place, token in enumerate(tokens):
        if token == "at" and place:
            local, domain = _local_part(tokens[:place]), _domain(tokens[place + 1 :])
            if local and domain:
                return f"{local}@{domain}"
    return None


def _local_part(before: list[str]) -> str:
    """Backwards from the "at": spelled letters and digits, signs, and words that signs or digits tie to the rest."""
    parts: list[str] = []
    last = ""  # what was taken before: sign, spelled or word
    for place in range(len(before) - 1, -1, -1):
        token = before[place].strip(".'")
        repeat = {"double": 2, "triple": 3}.get(before[place - 1], 1) if place else 1
        if token in _SIGNS and parts:
            parts.append(_SIGNS[token])
            last = "sign"
        elif token in ("double", "triple") and last == "spelled":
            continue
        elif token in DIGIT_WORDS or len(token) == 1 or token.isdigit():
            if last == "word" and parts[-1] not in _SIGNS.values() and not token.isdigit() and token not in DIGIT_WORDS:
                break
            parts.append(DIGIT_WORDS.get(token, token) * repeat)
            last = "spelled"
        elif token in _NOT_LOCAL or last == "word" or (last == "spelled" and not parts[-1].isdigit()):
            break
        else:
            parts.append(token)
            last = "word"
    return "".join(reversed(parts)).strip("._-+")


def _domain(after: list[str]) -> str:
    parts: list[str] = []
    for token in after[:12]:
        word = token.strip("'")
        if word in _SIGNS:
            parts.append(_SIGNS[word])
        elif not parts or parts[-1] in (".", "-") or (len(word) == 1 and len(parts[-1]) == 1):
            parts.append(word)
        else:
            break
    found = "".join(parts).strip(".-")
    return found if re.fullmatch(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}", found) else ""


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
    if _NO_NAME.search(said):
        return None
    if match := _FIRST_LAST.search(said):
        return _clean([match[1], match[2]])
    said = re.sub(
        r"(?:,?\s*(?:that's|that is|spelled|spelt))?(?:[\s,-]+[A-Za-z]\b(?!')){3,}", "", said
    )  # spelled out after it
    if match := _LAST_FIRST.search(said):
        found = _clean([match[2], match[1]])
        if found:
            return found
    parts = [_clean(part.split()) for part in re.split(r"[,.]\s+", said)]
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
        word if not word.islower() else re.sub(r"(?:^|-|\b[od]')[a-zà-ÿ]|^[od](?=')", lambda m: m.group().upper(), word)
        for word in kept
    )
