"""A conversation without its personal data: each text by its own spans, and what was found in one place hidden in all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import DecodeError, Raw, json

from vivavoce.domain.conversation import BY_HAND
from vivavoce.redaction.finder import BUILT_IN, Finder
from vivavoce.redaction.runs import runs
from vivavoce.redaction.text import Span, merged, tokens

HIDDEN = "REDACTED"  # a number, in the words of the public API
WITHHELD = "[WITHHELD]"  # nobody has looked yet whether it is personal
_WORD = re.compile(r"\w+")
_MIN_NAME = 2
_MIN_DIGITS = 4
_DIGIT_GROUPS = re.compile(r"\d(?:[\d\s().·/–-]*\d)?")
# Values under these keys are personal whatever they look like: author code names them so.
_PERSONAL_KEYS = re.compile(
    r"(?:^|_)(?:(?:first|last|full|given|family|middle|maiden|customer|caller|patient|user|guest|contact|holder|sur)_?name|surname"
    r"|name_on_\w+|(?:e_?)?mail(?:_address)?|phone(?:_number|_no)?|mobile(?:_number)?|telephone|msisdn|caller_id|ani|address(?:_line_?\d)?|street|post_?code"
    r"|zip(?:_code)?|card(?:_number|_no)?|cvv|cvc|iban|sort_code|account_number|routing_number|ssn|national_id|nhs_number"
    r"|passport(?:_number)?|licen[cs]e(?:_number)?|plate|dob|date_of_birth|birth_?da(?:te|y)|password|passcode|pin|otp|secret|token"
    r"|callee_number|caller_number|from_number|to_number)$"
)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# What tells of a conversation rather than of a person, and is of no use without its exact value. None of them is ever a key
# that author code has chosen: where it chooses the keys, every value is looked at.
PLAIN_KEYS = frozenset(
    "conversationId accountId projectId deploymentId log_id call_sid account_id project_id conversation_id turn_id cursor"
    " createdAt startedAt finishedAt started_at llm_request_id deployment_version function_id current_node node_trace"
    " clientEnv client_env environment channel language asr_lang_code tts_lang_code variantId variant_id variant_name variant"
    " model_id direction endReason testGroup handoffDestination handoff_destination role annotationType made_by"
    " agent_quality task_success in_flow in_step purpose finish_reason title start_time kind level logger source status"
    " provider code media_type id name reference".split()
)
_FREE = frozenset(  # subtrees whose keys author code has chosen
    "arguments parameters_sent state state_changes added updated fields metrics answer request data memory logs messages handoff"
    " integration_attributes sip_headers delivery".split()
)
# Names of our own fields within such subtrees: whoever is called Value or Level is not worth a body without them.
_FIELDS = frozenset(
    "added updated removed name value level content is_pii timestamp logger kind to from template status provider provider_id"
    " attempts at error id type reason destination route request answer".split()
)
_IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")  # a technical word: booking_made
_TECHNICAL = re.compile(rf"{_IDENTIFIER.pattern}|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|AS_CHAT_[0-9a-f-]+")
_LEAST_DIGITS = 7  # of a number that may be somebody's
_GAP = 3  # characters between the words of a value, at most
MOST_VALUES = 5_000
MOST_WORDS = 40  # of a value that is compared at once
MOST_LEVELS = 64  # of a JSON value
MOST_REMEMBERED = 4_000  # texts whose redacted form is kept, since histories repeat them


class Redactor:
    """`finder` gives the spans of a text; `values` are pairs of a text that was found personal, and its category."""

    def __init__(self, values: Iterable[tuple[str, str]] = (), *, finder: Finder = BUILT_IN) -> None:
        self.finder = finder
        self._codes: dict[str, str] = {}
        self._phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}  # first word -> values that begin with it
        self._done: dict[str, str] = {}
        self._written: dict[str, str] = {}
        seen: set[tuple[str, ...]] = set()
        for value, category in islice(dict.fromkeys(values), MOST_VALUES):
            for form in _forms(value, category):
                for said in _pieces(tuple(m.group().casefold() for m in _WORD.finditer(form))):
                    if said not in seen:
                        seen.add(said)
                        self._phrases.setdefault(said[0], []).append((said, category))
            for code in _codes_of(value):
                self._codes.setdefault(code, category)
        for found in self._phrases.values():
            found.sort(key=lambda entry: -len(entry[0]))

    def text(self, text: str, spans: Sequence[Span] | None = None) -> str:
        """`spans` are those that were decided for this very text; without them it is a value or a text of the program's, of which
        the rules are asked, and whose technical names stay."""
        if not text:
            return text
        if spans is None and text in self._done:
            return self._done[text]
        found = [*(_untechnical(text, self.finder.quick(text)) if spans is None else spans), *self._known(text)]
        done = replaced(text, merged(found))
        if spans is None and len(self._done) < MOST_REMEMBERED:
            self._done[text] = done
        return done

    def written(self, text: str) -> str:
        """What a person or a model has written about a conversation: looked at thoroughly."""
        if text not in self._written:
            found = [*_untechnical(text, self.finder.thorough(text)), *self._known(text)]
            self._written[text] = replaced(text, merged(found))
        return self._written[text]

    def spans(self, text: str, *, is_thorough: bool = True) -> Sequence[Span]:
        """What of a text is personal by itself, and what was found elsewhere."""
        found = self.finder.thorough(text) if is_thorough else self.finder.quick(text)
        return merged([*found, *self._known(text)])

    def known(self, text: str) -> str:
        """Without what was found elsewhere; the rules are not asked."""
        return replaced(text, merged(self._known(text)))

    def _known(self, text: str) -> list[Span]:
        found: list[Span] = self._numbers(text) if self._codes else []
        if not self._phrases:
            return found
        words = [(m.start(), m.end(), m.group().casefold()) for m in _WORD.finditer(text)]
        for place, (start, _, word) in enumerate(words):
            for said, category in self._phrases.get(word, ()):
                end = _end_of(words, place, said)
                if end is not None:
                    found.append(Span(start, end, category))
                    break
        return found

    def json(self, value: Any, key: str = "", *, is_free: bool = False, depth: int = 0) -> Any:
        """The same for every text within a JSON value, keys of objects included where author code has chosen them.

        What is nested deeper than anybody means is withheld.
        """
        if depth > MOST_LEVELS and isinstance(value, (Mapping, list, tuple, Raw)):
            return WITHHELD
        deeper = depth + 1
        if isinstance(value, str):
            if (key in PLAIN_KEYS and not is_free) or value == HIDDEN or _MOMENT.fullmatch(value):
                return value
            if key.endswith("dtmf") and value:
                return "[REDACTED]"
            if value.startswith(("{", "[")) and (inner := _inner(value)) is not None:
                return json.encode(self.json(inner, is_free=True, depth=deeper)).decode()
            if is_free and value and _is_personal_key(key):
                return f"[{_snake(key).upper()}]"
            return self.known(value) if is_free and _IDENTIFIER.fullmatch(value) else self.text(value)
        if isinstance(value, Mapping):
            found: dict[str, Any] = {}
            for k, v in value.items():
                name = self.known(k) if is_free and k not in _FIELDS else k
                while name in found:
                    name += "'"  # two keys that are hidden alike are still two
                found[name] = self.json(v, k, is_free=is_free or k in _FREE, depth=deeper)
            return found
        if isinstance(value, (list, tuple)):
            return [self.json(item, key, is_free=is_free, depth=deeper) for item in value if not _is_marked(item)]
        if is_free and isinstance(value, (int, float)) and not isinstance(value, bool):
            digits = re.sub(r"\D", "", str(value))
            is_personal = digits in self._codes or _is_personal_key(key)
            if not is_personal and isinstance(value, int) and len(digits) >= _LEAST_DIGITS:
                is_personal = bool(self.finder.quick(digits))
            return "[REDACTED]" if is_personal else value
        if isinstance(value, Raw):
            inner = _inner(value)
            return (
                WITHHELD
                if inner is None and bytes(value) != b"null"
                else self.json(inner, key, is_free=is_free, depth=deeper)
            )
        return value

    def _numbers(self, text: str) -> list[Span]:
        """Numbers that are known from elsewhere, however they are grouped here, or said."""
        found = []
        for match in _DIGIT_GROUPS.finditer(text):
            digits = re.sub(r"\D", "", match.group())
            if digits in self._codes:
                found.append(Span(match.start(), match.end(), self._codes[digits]))
        words = tokens(text)
        for run in runs(words):
            if run.value in self._codes:
                found.append(Span(words[run.first].start, words[run.last].end, self._codes[run.value]))
        return found


def _untechnical(text: str, spans: Sequence[Span]) -> list[Span]:
    """Without names of functions and ids of conversations, which look as if somebody were called so."""
    return [s for s in spans if s.category != "url_personal" or not _TECHNICAL.fullmatch(text[s.start : s.end])]


def _end_of(words: Sequence[tuple[int, int, str]], place: int, said: tuple[str, ...]) -> int | None:
    """Where a value that begins at this word ends; None when it is another."""
    if place + len(said) > len(words):
        return None
    last = words[place][1]
    for offset, word in enumerate(said):
        start, end, here = words[place + offset]
        if here != word or start - last > _GAP:
            return None
        last = end
    return last


def replaced(text: str, spans: Sequence[Span]) -> str:
    """Each span's category in its place."""
    parts, last = [], 0
    for span in spans:
        parts.append(text[last : span.start])
        parts.append(f"[{span.category.upper()}]")
        last = span.end
    parts.append(text[last:])
    return "".join(parts)


def _forms(value: str, category: str) -> list[str]:
    """The texts by which a value may be met again: a name also by its parts."""
    text = value.strip()
    if category == BY_HAND:
        return [text]
    if len(text) < _MIN_NAME or (text.isdigit() and len(text) < _MIN_DIGITS):
        return []
    parts = re.findall(r"[^\W\d_]{3,}", text) if category == "name" else []
    return [text, *parts]


def _pieces(said: tuple[str, ...]) -> list[tuple[str, ...]]:
    """A long value as pieces that cover it: to compare it whole at every place of a text that repeats it would take seconds."""
    if len(said) <= MOST_WORDS:
        return [said] if said else []
    starts = [*range(0, len(said) - MOST_WORDS, MOST_WORDS), len(said) - MOST_WORDS]
    return [said[start : start + MOST_WORDS] for start in starts]


def _codes_of(value: str) -> list[str]:
    """The digits and letters that a value stands for, written or said."""
    found = [run.value for run in runs(tokens(value)) if len(run.value) >= _MIN_DIGITS]
    digits = re.sub(r"\D", "", value)
    if len(digits) >= _MIN_DIGITS:
        found.append(digits)
    return found


def _inner(text: str | Raw) -> Any:
    """The JSON that a text holds, such as the arguments of a call; None when it holds none, or none that anybody means."""
    try:
        return json.decode(text)
    except (DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _is_marked(item: Any) -> bool:
    """A log entry that author code has marked as personal."""
    return isinstance(item, Mapping) and item.get("is_pii") is True


def _snake(key: str) -> str:
    return _CAMEL.sub("_", key).lower()


def _is_personal_key(key: str) -> bool:
    return bool(_PERSONAL_KEYS.search(_snake(key)))
