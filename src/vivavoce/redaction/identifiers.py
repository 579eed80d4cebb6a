"""Numbers and codes that tell who somebody is, what they own or what they know: by what announces them and by their form."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vivavoce.redaction.runs import Run
from vivavoce.redaction.text import SENTENCE_ENDS, Span, Token
from vivavoce.redaction.vocabulary import CUE_OF, MONEY, MONTHS, ORDINALS, THINGS, UNITS

REACH = 7  # tokens before a run in which something may announce it
LEAST = {  # characters
    "payment_card": 4,
    "card_security": 3,
    "bank_account": 4,
    "national_id": 3,
    "passport": 3,
    "driving_licence": 6,
    "vehicle_plate": 4,
    "account_number": 4,
    "secret": 3,
    "phone": 5,
    "postcode": 3,
    "ip_address": 7,
    "date_of_birth": 3,
}
FORMS = (  # of the value alone, in lower case
    ("bank_account", re.compile(r"[a-z]{2}\d{2}[a-z0-9]{10,30}")),
    ("national_id", re.compile(r"[a-z]{2}\d{6}[a-d]|\d{8}[a-z]|[xyz]\d{7}[a-z]|\d{7}[a-z]{1,2}|[a-z]{5}\d{4}[a-z]")),
    ("vehicle_plate", re.compile(r"[a-z]{2}\d{2}[a-z]{3}|[a-z]{2}\d{3}[a-z]{2}|\d{4}[a-z]{3}|[a-z]{2}\d{2}[a-z]{1,2}\d{4}|[a-z]\d{1,3}[a-z]{3}|\d{2,3}d\d{3,6}|[a-z]{3}\d{3,4}")),
    ("postcode", re.compile(r"[a-z]{1,2}\d[a-z0-9]?\d[a-z]{2}|[a-z]\d[a-z]\d[a-z]\d|[acdefhknprtvwxy]\d[0-9w][a-z0-9]{4}")),
    ("passport", re.compile(r"[a-z]{1,2}\d{6,8}|\d{2}[a-z]{2}\d{5}")),
    ("driving_licence", re.compile(r"[a-z]{5}\d{6}[a-z0-9]{5,7}|[a-z]\d{12,14}")),
)  # fmt: skip


def identifiers(tokens: Sequence[Token], runs: Sequence[Run]) -> list[Span]:
    found: list[Span] = []
    last = ""  # what the run before was, which a run close after it may go on with
    last_end = -10
    for run in runs:
        category = _category(tokens, run)
        if (
            category is None
            and last
            and run.first - last_end <= 9
            and run.digits >= 2
            and _goes_on(tokens, last_end, run)
        ):
            category = last
        if category is not None:
            first = run.first - (run.first > 0 and tokens[run.first - 1].low in ("plus", "+", "#"))
            found.append(Span(tokens[first].start, tokens[run.last].end, category))
            last, last_end = category, run.last
    return found


def _category(tokens: Sequence[Token], run: Run) -> str | None:
    value = run.value
    cue = announced(tokens, run)
    if _is_of_something_else(tokens, run):
        return None
    if cue is not None and len(value) >= LEAST[cue] and _fits(cue, run):
        return cue
    if 13 <= len(value) <= 19 and value.isdigit() and luhn(value):
        return "payment_card"
    if run.letters and run.digits:
        for category, form in FORMS:
            if form.fullmatch(value):
                return category
        if run.digits >= 4 and len(value) >= 7:
            return "account_number"
        if run.is_said and len(value) >= 6 and run.digits >= 2:
            return "account_number"
    if (run.is_one_by_one and run.digits >= 4) or (run.is_one_by_one and run.digits >= 3 and value[0] == "0"):
        return "phone"
    if run.digits == len(value):
        before = tokens[run.first - 1].text if run.first else ""
        if run.digits >= 9 or (run.digits >= 7 and (value[0] == "0" or before == "+" or run.last > run.first)):
            return "phone"
    return None


def announced(tokens: Sequence[Token], run: Run) -> str | None:
    """The category that the words before a run speak of, the nearest first; or the words right after it."""
    nearest = max(0, run.first - REACH)
    for place in range(run.first - 1, nearest - 1, -1):
        token = tokens[place]
        if token.text in SENTENCE_ENDS and token.text != ".":
            if token.text != "?":
                break
            continue
        if token.text == ".":
            # a full stop ends a sentence, but people say "My PIN. It's 1979."
            continue
        cue = CUE_OF.get(token.low) or CUE_OF.get(token.low.removesuffix("'s"))
        if cue is not None:
            return cue
        if len(token.text) == 1 and place >= 1:
            letters = "".join(t.low for t in tokens[max(0, place - 2) : place + 1] if len(t.text) == 1)
            cue = CUE_OF.get(letters) or CUE_OF.get(letters[-2:])
            if cue is not None:
                return cue
        compound = next((CUE_OF[w] for w in _COMPOUNDS if token.low.endswith(w)), None)
        if compound is not None:
            return compound
    for token in tokens[run.last + 1 : run.last + 5]:
        if token.low in _AFTER:
            return CUE_OF[token.low]
        if token.text in SENTENCE_ENDS:
            break
    return None


_COMPOUNDS = ("nummer", "passwort", "kennwort", "pin")
_AFTER = frozenset(
    [
        "account",
        "acc",
        "acct",
        "pin",
        "password",
        "passcode",
        "code",
        "mobile",
        "cell",
        "landline",
        "otp",
        "plate",
        "passport",
    ]
)


def _fits(cue: str, run: Run) -> bool:
    match cue:
        case "date_of_birth":
            return False  # dates have their own rules
        case "secret":
            return run.digits >= 3 or len(run.value) >= 4
        case "card_security":
            return run.digits >= 3
        case "phone":
            return run.digits >= 5 and run.letters <= 2
        case "passport" | "driving_licence" | "vehicle_plate" | "national_id":
            return run.digits >= 4 or (run.digits > 0 and run.letters > 0) or run.letters >= 5
        case "postcode":
            return bool(run.digits)
        case _:
            return run.digits >= 3


def _is_of_something_else(tokens: Sequence[Token], run: Run) -> bool:
    """A price, an amount of something, a size, a time or a date."""
    before = tokens[run.first - 1] if run.first else None
    after = tokens[run.last + 1] if run.last + 1 < len(tokens) else None
    if before is not None and (before.text in MONEY or (before.low in THINGS and run.digits <= 6)):
        return True
    if (
        run.first > 1
        and before is not None
        and before.low in ("code", "number", "no", "is", "of")
        and tokens[run.first - 2].low in THINGS
    ):
        return True
    if after is not None and (after.text in MONEY or after.text == "%") and run.digits <= 7:
        return True
    if after is not None and after.low in UNITS and run.digits <= 7 and run.letters == 0:
        return True
    if run.is_said and run.digits <= 5 and {t.low for t in tokens[run.first : run.last + 1]} & {"hundred", "thousand"}:
        return True
    if (
        before is not None
        and before.low in ("since", "in", "desde", "depuis", "seit")
        and run.value[:2] in ("19", "20")
        and len(run.value) == 4
    ):
        return True
    return run.digits <= 8 and run.letters == 0 and _is_date_or_time(tokens, run)


_DATE = re.compile(
    r"\d{1,2}[./-]\d{1,2}(?:[./-]\d{2,4})?|\d{4}-\d{2}-\d{2}|\d{1,2}[:.h]\d{2}|\d{1,3}(?:[.,]\d{3})*[.,]\d{2}"
)


def _is_date_or_time(tokens: Sequence[Token], run: Run) -> bool:
    around = [t.low for t in (*tokens[max(0, run.first - 2) : run.first], *tokens[run.last + 1 : run.last + 3])]
    if any(low in MONTHS or low in ORDINALS for low in around) and run.digits <= 4:
        return True
    written = "".join(t.text for t in tokens[run.first : run.last + 1])
    if written.isdigit() or not _DATE.fullmatch(written):
        return False
    parts = [int(part) for part in re.findall(r"\d+", written)]
    return len(parts) < 3 or (min(parts) <= 12 and sorted(parts)[1] <= 31)


def _goes_on(tokens: Sequence[Token], last_end: int, run: Run) -> bool:
    between = {t.low for t in tokens[last_end + 1 : run.first]}
    return bool(
        between
        & {
            "then",
            "and",
            "or",
            "no",
            "sorry",
            "not",
            "try",
            "wait",
            "next",
            "hang",
            "on",
            "last",
            "ends",
            "oder",
            "ou",
            "o",
            "y",
            "et",
            "und",
        }
    )


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
