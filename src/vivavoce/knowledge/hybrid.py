"""Retrieval by words and by meaning: paraphrases are found by the vectors, names and numbers by the words."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from vivavoce.domain.agent import Topic
from vivavoce.domain.clock import Embedder
from vivavoce.knowledge.indexing import embedded
from vivavoce.knowledge.interface import Match
from vivavoce.knowledge.lexical import MATCH_SCORE, Lexical, nearest

COSINE_MATCH = 0.38  # what a loose paraphrase scores with the packaged model; lies at the format's threshold
WORDS_SHARE = 0.2  # how much shared words add to it
BEST_OF = 3  # a topic is as near as the mean of its nearest texts: one odd example must not decide
FOLLOW_UP_WORDS = 3  # a question this short may lean on what was said before it
EXACT_MARGIN = 0.15  # what the single nearest text may fall short and still count alone


class Hybrid:
    """`index` embeds every name and example query, for keeping; `embedder` embeds the query of a search."""

    def __init__(self, topics: Sequence[Topic], embedder: Embedder, index: Embedder | None = None) -> None:
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
        self._vectors: npt.NDArray[np.float32] | None = None
        # Embedding a folder takes seconds, a large one minutes; until it is done the words alone are searched.
        self._indexing = threading.Thread(target=self._index, args=(texts, index or embedder), name="embed-topics")
        self._indexing.daemon = True
        self._indexing.start()

    def _index(self, texts: list[str], index: Embedder) -> None:
        self._vectors = embedded(texts, index)

    def wait(self, seconds: float) -> None:
        self._indexing.join(seconds)

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
        vectors = self._vectors
        if vectors is None or not len(vectors) or not text.strip():
            return words
        vector = np.array(self._embedder.embed([text[:1000]])[0], dtype=np.float32)
        cosine = np.append(vectors @ vector, np.float32(0.0))[self._texts_of]
        nearest_first = -np.partition(-cosine, range(BEST_OF), axis=1)[:, :BEST_OF]
        meaning = np.maximum(nearest_first.sum(axis=1) / self._counts, nearest_first[:, 0] - EXACT_MARGIN)
        mixed: npt.NDArray[np.float32] = (meaning + WORDS_SHARE * words) * (MATCH_SCORE / COSINE_MATCH)
        return np.clip(mixed, 0.0, 1.0).astype(np.float32)

    def similarity(self, text: str, topic: str) -> float:
        return self._lexical.similarity(text, topic)
