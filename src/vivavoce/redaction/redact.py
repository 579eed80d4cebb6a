"""A conversation without its personal data: each text by its own spans, and what was found in one place hidden in all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from msgspec import DecodeError, Raw, json

from vivavoce.redaction.rules import personal_spans
from vivavoce.redaction.runs import runs
from vivavoce.redaction.text import Span, merged, tokens

WITHHELD = "[WITHHELD]"  # nobody has looked yet whether it is personal
_MIN_NAME = 3
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
# What tells of a conversation rather than of a person, and is of no use without its exact value.
PLAIN_KEYS = frozenset(
    "conversationId accountId projectId deploymentId id log_id call_sid account_id project_id conversation_id turn_id cursor"
    " createdAt startedAt finishedAt started_at timestamp start_time turn_timestamp request_timestamp response_timestamp"
    " first_chunk_timestamp user_input_datetime agent_response_datetime llm_request_id deployment_version function_id"
    " llmRequestId current_node node_trace clientEnv environment channel language asr_lang_code tts_lang_code"
    " fromNumber toNumber from_number to_number from_ to author variantId variant_id variant_name reference model_id".split()
)
_FREE = frozenset(  # subtrees whose keys author code has chosen
    "arguments parameters_sent state state_changes added updated fields metrics answer request data memory integration_attributes sip_headers".split()
)


@lru_cache(maxsize=8192)
def _spans(text: str) -> tuple[Span, ...]:
    return tuple(personal_spans(text))


class Redactor:
    """`find` gives the spans of a text; `values` are pairs of a text that was found personal, and its category."""

    def __init__(
        self, values: Iterable[tuple[str, str]] = (), *, find: Callable[[str], Sequence[Span]] | None = None
    ) -> None:
        self._find = find or _spans
        words: dict[str, str] = {}
        self._codes: dict[str, str] = {}
        for value, category in values:
            for form in _forms(value, category):
                words.setdefault(form.casefold(), category)
            for code in _codes_of(value):
                self._codes.setdefault(code, category)
        longest_first = sorted(words, key=len, reverse=True)
        self._categories = words
        self._known = (
            re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE) if words else None
        )

    def text(self, text: str, spans: Sequence[Span] | None = None) -> str:
        """`spans` are those that were decided for this very text; without them the rules are asked."""
        if not text:
            return text
        found = list(self._find(text) if spans is None else spans)
        if self._known is not None:
            found += [Span(m.start(), m.end(), self._category(m.group())) for m in self._known.finditer(text)]
        if self._codes:
            found += self._numbers(text)
        return replaced(text, merged(found))

    def json(self, value: Any, key: str = "", *, is_free: bool = False) -> Any:
        """The same for every text within a JSON value, keys of objects included where author code has chosen them."""
        if isinstance(value, str):
            if (key in PLAIN_KEYS and not is_free) or _MOMENT.fullmatch(value):
                return value
            if key.endswith("dtmf") and len(value) > 1:
                return "[REDACTED]"
            if value.startswith(("{", "[")) and (inner := _inner(value)) is not None:
                return json.encode(self.json(inner, is_free=True)).decode()
            if is_free and value and _is_personal_key(key):
                return f"[{_snake(key).upper()}]"
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                (self.text(k) if is_free else k): self.json(v, k, is_free=is_free or k in _FREE)
                for k, v in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.json(item, key, is_free=is_free) for item in value if not _is_marked(item)]
        if is_free and isinstance(value, (int, float)) and not isinstance(value, bool):
            digits = re.sub(r"\D", "", str(value))
            return "[REDACTED]" if digits in self._codes or _is_personal_key(key) else value
        if isinstance(value, Raw):
            return self.json(json.decode(value), key, is_free=is_free)
        return value

    def _category(self, word: str) -> str:
        return self._categories.get(word.casefold(), "personal")

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
    if len(text) < _MIN_NAME:
        return []
    parts = re.findall(r"[^\W\d_]{3,}", text) if category == "name" else []
    return [text, *parts]


def _codes_of(value: str) -> list[str]:
    """The digits and letters that a value stands for, written or said."""
    found = [run.value for run in runs(tokens(value)) if len(run.value) >= _MIN_DIGITS]
    digits = re.sub(r"\D", "", value)
    if len(digits) >= _MIN_DIGITS:
        found.append(digits)
    return found


def _inner(text: str) -> Any:
    """The JSON that a text holds, such as the arguments of a call; None when it holds none."""
    try:
        return json.decode(text)
    except DecodeError:
        return None


def _is_marked(item: Any) -> bool:
    """A log entry that author code has marked as personal."""
    return isinstance(item, Mapping) and item.get("is_pii") is True


def _snake(key: str) -> str:
    return _CAMEL.sub("_", key).lower()


def _is_personal_key(key: str) -> bool:
    return bool(_PERSONAL_KEYS.search(_snake(key)))
