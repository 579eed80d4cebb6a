"""A classifier that knows a few words, for tests."""

from __future__ import annotations

from vivavoce.domain.conversation import Severity


class ScriptedClassifier:
    """`words` -> (category, severity)."""

    name = "scripted"

    def __init__(self, words: dict[str, tuple[str, Severity]]) -> None:
        self._words = words

    async def classify(self, text: str) -> dict[str, Severity]:
        return {category: severity for word, (category, severity) in self._words.items() if word in text.lower()}

    async def close(self) -> None: ...
