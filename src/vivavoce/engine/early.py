"""Sentences that a caller hears while the model still writes. On other channels nothing is early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivavoce.engine import screening

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft


class Early:
    """What of one model reply has been let go. A sentence that a safety filter keeps back ends the reply."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._taken = 0  # characters of what the guard has released
        self.text = ""
        self.is_blocked = False

    async def take(self, released: str) -> str:
        """Whole sentences from the guard, screened; "" where nothing is early."""
        return await self._screened(released) if self._draft.is_spoken and released else ""

    async def rest(self, released: str) -> str:
        """All that the guard has released by the end; returns what of it is still to be said."""
        return "" if self.is_blocked else await self._screened(released[self._taken :])

    async def _screened(self, released: str) -> str:
        self._taken += len(released)
        text = released.strip()
        if await screening.blocks(self._draft, text, "output"):
            self.is_blocked = True
            text = self._draft.ports.options.safety_reply
        self.text = f"{self.text} {text}".strip()
        return text
