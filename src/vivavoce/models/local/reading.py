"""What can be read out of instructions without understanding them: the words to say, the functions to call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from vivavoce.domain.conversation import Tool


class Decision(Struct, frozen=True, kw_only=True):
    """Say something, or call (name, arguments). `is_sure` False leaves room for a better idea."""

    text: str = ""
    call: tuple[str, dict[str, Any]] | None = None
    topic: str = ""
    is_sure: bool = True


_SAY = re.compile(
    r"\b(?:say|ask|tell (?:them|the (?:user|caller|customer)))[^\"“\n]{0,80}[\"“]([^\"”]+)[\"”]", re.IGNORECASE
)
_QUOTED = re.compile(r"[\"“]([^\"”]{8,}[.?!])[\"”]")
_TELL = re.compile(
    r"^(?:please\s+)?(?:tell|inform|let) (?:them|the (?:user|caller|customer))(?: know)?(?: that)?[:,]?\s+(.+)",
    re.IGNORECASE | re.DOTALL,
)
_ASK = re.compile(
    r"^(?:please\s+)?ask (?:them|the (?:user|caller|customer))?\s*(?:for|to (?:give|provide|tell you))\s+(.+?)(?:[.\n]|$)",
    re.IGNORECASE,
)
_INSTRUCTION = re.compile(
    r"\b(the (?:user|caller|customer)|call(?:ing)? \w+_\w+|do not|don't|you must|function)\b", re.IGNORECASE
)


def spoken(instruction: str) -> str:
    """The words that an instruction wants said; an instruction without any is not read out."""
    text = instruction.strip()
    if not text:
        return ""
    if match := _SAY.search(text):
        return match.group(1).strip()
    if match := _TELL.match(text):
        first = match.group(1).strip().split("\n")[0]
        return _sentence(first)
    if match := _ASK.match(text):
        return f"Could you tell me {match.group(1).strip()}?"
    if match := _QUOTED.search(text):
        return match.group(1).strip()
    return "" if _INSTRUCTION.search(text) else text


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".?!" else ".")


def called_names(text: str, tools: Sequence[Tool]) -> list[str]:
    """The tools that a text names, in order."""
    found = [(match.start(), tool.name) for tool in tools if (match := re.search(rf"\b{re.escape(tool.name)}\b", text))]
    return [name for _, name in sorted(found)]


def questions(prompt: str) -> list[str]:
    """What a step's prompt puts in quotation marks as a question, in order."""
    return [match.group(1).strip() for match in re.finditer(r"[\"“]([^\"”]*\?[^\"”]*)[\"”]", prompt)]
