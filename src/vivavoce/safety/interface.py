"""What the engine asks of a classifier of content."""

from __future__ import annotations

from typing import Protocol

from vivavoce.domain.conversation import Severity
from vivavoce.errors import VivavoceError

CATEGORIES = ("violence", "hate", "sexual", "self_harm", "jailbreak")


class ClassifierUnavailable(VivavoceError):
    code = "CLASSIFIER_UNAVAILABLE"
    status = 503
    retryable = True


class Classifier(Protocol):
    @property
    def name(self) -> str: ...

    async def classify(self, text: str) -> dict[str, Severity]:
        """The categories that the text falls into, each with how badly. Raises ClassifierUnavailable."""
        ...

    async def close(self) -> None: ...
