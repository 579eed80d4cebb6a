"""Which of a few languages a text is in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

CERTAIN = 0.95  # for a single word, which is often a name or spelled alike in several languages
LIKELY = 0.8
_WORD = re.compile(r"[^\W\d_]{2,}")


def detect(text: str, tags: Sequence[str]) -> str | None:
    """The tag of the language that the text is in, or None when it is too short or too doubtful to tell.

    Of two tags for one language the first is given. The identifier is py3langid's; its probabilities are compared among
    `tags` alone.
    """
    words = _WORD.findall(text)
    by_language: dict[str, str] = {}
    for tag in tags:
        by_language.setdefault(tag.split("-")[0].lower(), tag)
    if not words or len(by_language) < 2:
        return None
    likelihoods = {code: float(share) for code, share in _identifier().rank(" ".join(words)) if code in by_language}
    total = sum(likelihoods.values())
    if total <= 0:
        return None
    best = max(likelihoods, key=likelihoods.__getitem__)
    wanted = CERTAIN if len(words) == 1 else LIKELY
    return by_language[best] if likelihoods[best] / total >= wanted else None


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """Loaded once: its model takes most of a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415  # only agents of several languages need it

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def prepare() -> None:
    """Loads the model now, where nobody waits for it."""
    _identifier()


def match(tag: str, tags: Sequence[str]) -> str | None:
    """The configured tag for a wanted one: itself, however it is written, or another of the same language."""
    for known in tags:
        if known.lower() == tag.lower():
            return known
    language = tag.split("-")[0].lower()
    return next((known for known in tags if known.split("-")[0].lower() == language), None)
