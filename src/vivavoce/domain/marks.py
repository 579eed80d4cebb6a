"""Keeps the caller's words from becoming references: `{{fn:x}}` said aloud must stay words when a function echoes it.

A mark goes in where caller or model text could be read as a reference. The mark travels with the text through author
code and state, stops the renderer there, and is taken out before anybody sees the text.
"""

from __future__ import annotations

import re
from typing import Any

MARK = "\ue0f0"  # private use: no keyboard and no recogniser makes it
_RISKY = re.compile(
    r"(?<=\{)(?=\{)|(?<=\{)(?=\s*(?:fn|ft|entity|attr|vrbl|tn|twilio_sms|ho|sms|va)\s*:)|(?<=\$)(?=[A-Za-z_{])|(?<=<)(?=/?(?:language|channel)[:>])"
)


def escape_text(text: str) -> str:
    if MARK in text:
        text = text.replace(MARK, "")
    if "{" in text or "$" in text or "<" in text:
        return _RISKY.sub(MARK, text)
    return text


def escape(value: Any) -> Any:
    """The same for every text inside plain data."""
    if isinstance(value, str):
        return escape_text(value)
    if isinstance(value, dict):
        return {escape(k): escape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [escape(v) for v in value]
    return value


def unmark(text: str) -> str:
    return text.replace(MARK, "") if MARK in text else text


def unmark_all(value: Any) -> Any:
    if isinstance(value, str):
        return unmark(value)
    if isinstance(value, dict):
        return {unmark_all(k): unmark_all(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [unmark_all(v) for v in value]
    return value
