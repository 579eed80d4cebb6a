"""What an agent would retrieve for a question, and why: the same search that a turn makes, with what it leaves out."""

from __future__ import annotations

import asyncio
import re

from msgspec import Struct

from vivavoce.domain.agent import Topic
from vivavoce.domain.principal import Principal
from vivavoce.engine.prepared import Prepared
from vivavoce.engine.retrieval import MOST_PASSAGES
from vivavoce.entities.words import words
from vivavoce.errors import Invalid
from vivavoce.service.access import require
from vivavoce.service.deployments import Deployments

MAX_QUESTION = 1_000  # characters
_WORD = re.compile(r"\w[\w'’-]*")
MORE = 5  # topics that are shown beyond those that are retrieved


class TopicFound(Struct, frozen=True, kw_only=True):
    """`is_retrieved`: a turn would have it. `shared` are the words that the question and the topic have in common, `example`
    its example query that has most of them; a topic that has none of either was found by its meaning."""

    topic: Topic
    distance: float
    is_retrieved: bool
    shared: tuple[str, ...]
    example: str


class PassageFound(Struct, frozen=True, kw_only=True):
    source: str
    heading: str
    text: str
    distance: float


class Explained(Struct, frozen=True, kw_only=True):
    """`threshold` is the greatest distance at which a topic is retrieved, `most` how many are."""

    topics: tuple[TopicFound, ...]
    passages: tuple[PassageFound, ...]
    threshold: float
    most: int


class Knowledge:
    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments

    async def explain(self, principal: Principal, agent_id: str, question: str) -> Explained:
        """Of the agent as its folder is now."""
        require(principal, "read", agent_id)
        if len(question) > MAX_QUESTION:
            raise Invalid(f"The question has {len(question):,} characters; at most {MAX_QUESTION:,} are taken.")
        deployment = await self._deployments.resolve(principal, agent_id, "draft")
        prepared = await self._deployments.prepared(deployment.tree)
        return await asyncio.to_thread(_explained, prepared, question)


def _explained(prepared: Prepared, question: str) -> Explained:
    settings = prepared.agent.experimental.retrieval
    matches = prepared.retriever.search(question, (), limit=settings.top_k + MORE, threshold=1.0)
    retrieved = [match.name for match in matches if match.distance <= settings.threshold][: settings.top_k]
    asked = {word: frozenset(words(word)) for word in dict.fromkeys(_WORD.findall(question))}
    stems = frozenset().union(*asked.values())
    topics = []
    for match in matches:
        topic = prepared.agent.topics[match.name]
        texts = (topic.name.replace("_", " "), *topic.example_queries, topic.content)
        known = frozenset(words(" ".join(texts)))
        shared = tuple(word for word, own in asked.items() if own & known)
        example = max(topic.example_queries, key=lambda text: len(stems & set(words(text))), default="")
        if not stems & set(words(example)):
            example = ""
        if match.distance < 1.0:
            topics.append(
                TopicFound(
                    topic=topic,
                    distance=match.distance,
                    is_retrieved=match.name in retrieved,
                    shared=shared,
                    example=example,
                )
            )
    passages = [
        (prepared.agent.passages[found.number], found.distance)
        for found in (prepared.sources.search(question, limit=MOST_PASSAGES) if prepared.agent.passages else ())
    ]
    return Explained(
        topics=tuple(topics),
        passages=tuple(
            PassageFound(source=p.source, heading=p.heading, text=p.text, distance=distance) for p, distance in passages
        ),
        threshold=settings.threshold,
        most=settings.top_k,
    )
