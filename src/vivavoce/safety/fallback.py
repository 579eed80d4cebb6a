"""The first classifier that answers decides."""

from __future__ import annotations

import logging

from vivavoce.domain.conversation import Severity
from vivavoce.safety.interface import Classifier, ClassifierUnavailable

log = logging.getLogger(__name__)


class Fallback:
    def __init__(self, first: Classifier, second: Classifier) -> None:
        self._first, self._second = first, second
        self.name = first.name

    async def classify(self, text: str) -> dict[str, Severity]:
        try:
            return await self._first.classify(text)
        except ClassifierUnavailable as error:
            log.warning(
                "%s does not classify, %s does in its place: %s", self._first.name, self._second.name, error.message
            )
            return await self._second.classify(text)

    async def close(self) -> None:
        await self._first.close()
        await self._second.close()
