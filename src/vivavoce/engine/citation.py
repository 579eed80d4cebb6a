"""Which one topic the reply came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft

SMALL_TALK_WORDS = 3  # shorter replies are not attributed to anything by their words


def cited(draft: Draft) -> str:
    """What the model named itself; else the topic whose function was called; else the one whose words the reply uses."""
    shown = [name for name, _ in draft.found]
    if not shown:
        return ""
    for exchange in reversed(draft.exchanges):
        named = exchange.reply.cited_topics if exchange.reply is not None else ()
        for name in named:
            if name in draft.agent.topics:
                return name
    called = {call.name for call in draft.calls}
    for name in shown:
        if called.intersection(draft.prepared.topic_functions.get(name, ())):
            return name
    if len(draft.reply.split()) <= SMALL_TALK_WORDS:
        return ""
    scored = [
        (draft.prepared.retriever.similarity(draft.reply, name), -order, name) for order, name in enumerate(shown)
    ]
    best, _, name = max(scored)
    return name if 1 - best <= draft.agent.experimental.retrieval.citation_threshold else ""
