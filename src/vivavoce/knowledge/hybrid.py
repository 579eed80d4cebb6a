"""Retrieval by words and by meaning: paraphrases are found by the vectors, names and numbers by the words."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from vivavoce.domain.agent import Topic
from vivavoce.domain.clock import Embedder
from vivavoce.knowledge.interface import Match
from vivavoce.knowledge.lexical import MATCH_SCORE, Lexical, nearest

COSINE_MATCH = 0.38  # what a loose paraphrase scores with the packaged model; lies at the format's threshold
WORDS_SHARE = 0.2  # how much shared words add to it
BEST_OF = 3  # a topic is as near as the mean of its nearest texts: one odd example must not decide
FOLLOW_UP_WORDS = 3  # a question this short may lean on what was said before it
EXACT_MARGIN = 0.15  # what the single nearest text may fall short and still count alone
BATCH = 64


class Hybrid:
    """Embeds every name and example query once, when the tree is loaded; a search embeds its query."""

    def __init__(self, topics: Sequence[Topic], embedder: Embedder) -> None:
        self._lexical = Lexical(topics)
        self._embedder = embedder
        texts: list[str] = []
        rows: list[list[int]] = []
        for topic in (t for t in topics if t.enabled):
            own = [t for t in (topic.name.replace("_", " "), *topic.example_queries, topic.content[:400]) if t.strip()]
            rows.append(list(range(len(texts), len(texts) + len(own))))
            texts.extend(own)
        # A row per topic with the numbers of its texts, filled up with the number of a text that is near nothing.
        width = max([BEST_OF, *map(len, rows)])
        self._texts_of = np.array([row + [len(texts)] * (width - len(row)) for row in rows], dtype=np.int32)
        self._counts = np.array([min(BEST_OF, max(len(row), 1)) for row in rows], dtype=np.float32)
        self._vectors = np.zeros((0, 0), dtype=np.float32)
        # Embedding a folder takes a second or more; whoever asks meanwhile waits for it, nobody else does.
        self._embedding = threading.Thread(target=self._embed, args=(texts,), name="embed-topics")
        self._embedding.start()

    def _embed(self, texts: list[str]) -> None:
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        self._vectors = np.array([v for batch in batches for v in self._embedder.embed(batch)], dtype=np.float32)

    def search(
        self, query: str, earlier: tuple[str, ...], *, limit: int, threshold: float, excluded: Collection[str] = ()
    ) -> list[Match]:
        return nearest(
            self._lexical.names, self._scores(query, earlier), limit=limit, threshold=threshold, excluded=excluded
        )

    def _scores(self, query: str, earlier: tuple[str, ...]) -> npt.NDArray[np.float32]:
        alone = self._scored(query, self._lexical.scores(query))
        if not earlier or len(query.split()) > FOLLOW_UP_WORDS or (len(alone) and float(alone.max()) >= MATCH_SCORE):
            return alone
        # A follow-up of a word or two means little alone.
        return self._scored(f"{earlier[0]} {query}", self._lexical.scores(query, earlier))

    def _scored(self, text: str, words: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self._embedding.join()
        if not len(self._vectors) or not text.strip():
            return words
        vector = np.array(self._embedder.embed([text[:1000]])[0], dtype=np.float32)
        cosine = np.append(self._vectors @ vector, np.float32(0.0))[self._texts_of]
        nearest_first = -np.partition(-cosine, range(BEST_OF), axis=1)[:, :BEST_OF]
        meaning = np.maximum(nearest_first.sum(axis=1) / self._counts, nearest_first[:, 0] - EXACT_MARGIN)
        mixed: npt.NDArray[np.float32] = (meaning + WORDS_SHARE * words) * (MATCH_SCORE / COSINE_MATCH)
        return np.clip(mixed, 0.0, 1.0).astype(np.float32)

    def similarity(self, text: str, topic: str) -> float:
        return self._lexical.similarity(text, topic)
