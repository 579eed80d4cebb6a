"""Which function a caller's words ask for: by meaning where vectors are at hand, by words otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vivavoce.domain.clock import Embedder
from vivavoce.domain.conversation import Tool
from vivavoce.entities.words import words
from vivavoce.models.local import phrases

COSINE = 0.45  # between a caller's words and the description of what they ask for
SHARED_WORDS = 0.5
_PERSON = re.compile(
    r"\b(?:human|real person|somebody|someone|person|operator|manager|supervisor|representative|colleague|staff|agent|complain\w*|complaint)\b",
    re.IGNORECASE,
)
_PERSON_TOOL = re.compile(
    r"\b(?:person|human|hand ?over|hand_over|handoff|transfer|colleague|staff|agent)\b", re.IGNORECASE
)
_BYE_TOOL = re.compile(r"goodbye|hang ?up|hangup|end(?:s)? the (?:call|conversation)", re.IGNORECASE)
_REQUEST = re.compile(
    r"\b(?:i want|i need|i'd like|i would like|can (?:i|you)|could (?:i|you)|please|let me|put me|give me)\b",
    re.IGNORECASE,
)
_AGREES = re.compile(
    r"\b(?:agree\w*|confirm\w*|accept\w*|says? yes|is (?:happy|content)|correct|go ahead|wants? to proceed)\b",
    re.IGNORECASE,
)
_REFUSES = re.compile(
    r"\b(?:says? no|refus\w*|reject\w*|declin\w*|disagree\w*|wrong|incorrect|chang\w*|no longer|does not|doesn't|give\w* .*\bup|something else)\b",
    re.IGNORECASE,
)
_GIVES_UP = re.compile(
    r"\b(?:never ?mind|forget (?:it|about it)|(?:don't|do not|no longer) want (?:to|it|this|a booking)|changed my mind|leave it|stop (?:this|it|the booking)|"
    r"cancel (?:that|this|it|the booking)|not interested|give up)\b",
    re.IGNORECASE,
)
_GIVE_UP_TOOL = re.compile(
    r"\b(?:no longer wants?|gives? .*\bup|abandon\w*|stop\w* booking|exits?|leave\w*)\b", re.IGNORECASE
)
_LACKS = re.compile(
    r"\b(?:don't|do not|haven't|have not|can't|cannot|couldn't|lost|no idea|not sure|forgot\w*|without|no)\b.{0,30}\b(?:number|it|have|find|know|remember|one|that|receipt)\b|\bno idea\b|\blost it\b",
    re.IGNORECASE,
)
_LACKS_TOOL = re.compile(
    r"\b(?:does not have|doesn't have|cannot find|can't find|does not know|cannot give|refus\w*|no \w+ number)\b",
    re.IGNORECASE,
)
_CANCEL = re.compile(r"\b(?:cancel\w*|call it off|scrap it|get rid of it)\b", re.IGNORECASE)
_CANCEL_TOOL = re.compile(r"\bcancels?\b(?!ling)", re.IGNORECASE)


def polarity(tool: Tool) -> bool | None:
    """True for a tool to be called when the caller agrees, False when they refuse."""
    text = f"{tool.name.replace('_', ' ')} {tool.description}"
    agrees, refuses = bool(_AGREES.search(text)), bool(_REFUSES.search(text))
    if agrees and not refuses:
        return True
    return False if refuses and not agrees else None


class Intents:
    def __init__(self, embedder: Embedder | None) -> None:
        self._embedder = embedder

    def is_request(self, said: str) -> bool:
        return _REQUEST.search(said) is not None

    def best_tool(self, said: str, tools: Sequence[Tool]) -> Tool | None:
        """The tool that is asked for, or None when no tool is near enough."""
        for pattern, names in ((phrases._BYE, _BYE_TOOL), (_PERSON, _PERSON_TOOL)):  # noqa: SLF001  # one family
            if pattern.search(said):
                found = next((t for t in tools if names.search(f"{t.name} {t.description}")), None)
                if found is not None:
                    return found
        return self._nearest(said, tools)

    def special(self, said: str, tools: Sequence[Tool]) -> Tool | None:
        """A tool of the step for giving up, for not having what is asked, for cancelling."""
        for pattern, names in ((_LACKS, _LACKS_TOOL), (_CANCEL, _CANCEL_TOOL), (_GIVES_UP, _GIVE_UP_TOOL)):
            if pattern.search(said):
                found = next((t for t in tools if names.search(t.description)), None)
                if found is not None:
                    return found
        return None

    def _nearest(self, said: str, tools: Sequence[Tool]) -> Tool | None:
        candidates = [tool for tool in tools if not _BYE_TOOL.search(f"{tool.name} {tool.description}")]
        if not candidates:
            return None
        if self._embedder is not None:
            vectors = self._embedder.embed([said[:400], *(t.description[:400] for t in candidates)])
            scores = [sum(a * b for a, b in zip(vectors[0], v, strict=True)) for v in vectors[1:]]
            best = max(range(len(candidates)), key=scores.__getitem__)
            return candidates[best] if scores[best] >= COSINE else None
        asked = set(words(said))
        shares = [
            len(asked & set(words(f"{t.name.replace('_', ' ')} {t.description}"))) / len(asked) if asked else 0.0
            for t in candidates
        ]
        best = max(range(len(candidates)), key=shares.__getitem__)
        return candidates[best] if shares[best] >= SHARED_WORDS else None
