"""An embedder that knows three things, so that what is near what is plain to see."""

from __future__ import annotations

from typing import Any


class Topics:
    name = "topics"

    def embed(self, texts: Any) -> list[list[float]]:
        about = (("tap", "leak", "water", "plumber"), ("money", "refund", "broken"), ("open", "sunday", "hours"))
        found = []
        for text in texts:
            counts = [sum(word in text.lower() for word in topic) + 0.01 for topic in about] + [0.0] * 61
            size = sum(c * c for c in counts) ** 0.5
            found.append([c / size for c in counts])
        return found
