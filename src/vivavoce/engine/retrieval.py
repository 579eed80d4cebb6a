"""What the agent knows that bears on the input: topics, those of earlier turns among them, and passages of its sources."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from vivavoce.domain.conversation import RetrievedTopic, SourcePassage
from vivavoce.engine.rendering import Renderer
from vivavoce.knowledge.interface import PassageMatch

if TYPE_CHECKING:
    from vivavoce.engine.draft import Draft

MOST_PASSAGES = 3


def retrieve(draft: Draft) -> None:
    began = perf_counter()
    settings = draft.agent.experimental.retrieval
    matches = []
    excluded = {*draft.disabled_topics, *settings.channel_exclusions.get(draft.channel, ())}
    if not draft.input.is_silence:
        earlier = draft.session.inputs[-settings.previous_inputs :] if settings.previous_inputs else []
        matches = draft.prepared.retriever.search(
            draft.text,
            tuple(reversed(earlier)),
            limit=settings.top_k,
            threshold=settings.in_flow_threshold if draft.place.flow else settings.threshold,
            excluded=excluded,
        )
    draft.found = tuple((match.name, match.distance) for match in matches)
    kept = dict(draft.found)
    for names in draft.retained[: settings.history_length]:
        for name in names:
            if name not in excluded:
                kept.setdefault(name, -1.0)
    if draft.found:
        draft.retained = (tuple(name for name, _ in draft.found), *draft.retained)[: settings.history_length]
    renderer = draft.renderer()
    draft.topics = tuple(
        _topic(draft, name, distance, renderer) for name, distance in kept.items() if name in draft.agent.topics
    )
    if draft.agent.passages and not draft.input.is_silence:
        before = tuple(draft.session.inputs[-1:])
        draft.passages = tuple(
            _passage(draft, match) for match in draft.prepared.sources.search(draft.text, before, limit=MOST_PASSAGES)
        )
    draft.timings["retrieval"] += perf_counter() - began


def _passage(draft: Draft, match: PassageMatch) -> SourcePassage:
    passage = draft.agent.passages[match.number]
    return SourcePassage(
        source=passage.source,
        start=passage.start,
        end=passage.end,
        distance=match.distance,
        text=draft.prepared.passage_texts[match.number],
    )


def _topic(draft: Draft, name: str, distance: float, renderer: Renderer) -> RetrievedTopic:
    topic = draft.agent.topics[name]
    return RetrievedTopic(
        name=name,
        distance=max(distance, 0.0),
        content=renderer.render(topic.content),
        actions=renderer.render(topic.actions),
        example_queries=topic.example_queries,
        functions=draft.prepared.topic_functions.get(name, ()),
        is_retained=distance < 0,
    )
