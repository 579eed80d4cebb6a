"""Names of things, as distinct types so that one cannot be passed for another."""

from __future__ import annotations

import re
from typing import NewType

AccountId = NewType("AccountId", str)
AgentId = NewType("AgentId", str)
ConversationId = NewType("ConversationId", str)
TreeHash = NewType("TreeHash", str)
ContentHash = NewType("ContentHash", str)

_CONVERSATION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}")


def is_conversation_id(text: str) -> bool:
    """True for 1-128 characters of letters, digits and `._:@+-` that begin with a letter or digit."""
    return _CONVERSATION_ID.fullmatch(text) is not None


def clean_name(name: str, *, keep_case: bool = False) -> str:
    """The file or folder name of a display name: word characters joined by single underscores."""
    words = re.sub(r"[^\w\s]", " ", name if keep_case else name.lower())
    return re.sub(r"_+", "_", re.sub(r"\s+", "_", words)).strip("_")
