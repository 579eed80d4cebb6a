"""OpenAI's moderation endpoint, whose scores are mapped onto the format's categories and severities."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec

from vivavoce.domain.conversation import Severity
from vivavoce.errors import NOT_JSON
from vivavoce.safety.interface import ClassifierUnavailable

MODEL = "omni-moderation-latest"
TIMEOUT_SECONDS = 5.0
CATEGORY_OF = {
    "violence": "violence",
    "violence/graphic": "violence",
    "harassment": "hate",
    "harassment/threatening": "violence",
    "hate": "hate",
    "hate/threatening": "hate",
    "sexual": "sexual",
    "sexual/minors": "sexual",
    "self-harm": "self_harm",
    "self-harm/intent": "self_harm",
    "self-harm/instructions": "self_harm",
}
SCORES: tuple[tuple[float, Severity], ...] = ((0.8, "high"), (0.5, "medium"), (0.25, "low"))


class ModerationClassifier:
    name = "openai-moderation"

    def __init__(self, *, key: str, base_url: str) -> None:
        self._url = f"{base_url.rstrip('/')}/moderations"
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._session: aiohttp.ClientSession | None = None

    async def classify(self, text: str) -> dict[str, Severity]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        body = msgspec.json.encode({"model": MODEL, "input": text})
        try:
            async with self._session.post(self._url, data=body, headers=self._headers, allow_redirects=False) as reply:
                answer = await reply.read()
                if reply.status != 200:
                    raise ClassifierUnavailable(f"The moderation endpoint answered with status {reply.status}.")
            return severities(msgspec.json.decode(answer)["results"][0]["category_scores"])
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ClassifierUnavailable(
                f"The moderation endpoint cannot be reached ({type(error).__name__})."
            ) from error
        except (*NOT_JSON, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ClassifierUnavailable("The moderation endpoint answered with something else than scores.") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)
            self._session = None


def severities(scores: dict[str, Any]) -> dict[str, Severity]:
    best: dict[str, float] = {}
    for name, score in scores.items():
        category = CATEGORY_OF.get(name)
        if category is not None and isinstance(score, (int, float)):
            best[category] = max(best.get(category, 0.0), float(score))
    found: dict[str, Severity] = {}
    for category, score in best.items():
        for least, severity in SCORES:
            if score >= least:
                found[category] = severity
                break
    return found
