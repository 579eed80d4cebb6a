"""Retrieval by words: each name and example query is a little document, a topic is as near as its nearest one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from vivavoce.domain.agent import Topic
from vivavoce.entities.words import words
from vivavoce.knowledge.interface import Match

# Tuned on the example queries of public agents and on bench/ utterances: where a score of this size should mean a match.
MATCH_SCORE = 0.33  # a similarity this high is at distance 0.4, the format's threshold
MATCH_DISTANCE = 0.4
CONTENT_WEIGHT = 0.55
EARLIER_WEIGHT = 0.35
MAX_QUERY_WORDS = 64
SHORT_QUERY_WORDS = 2  # words with a meaning of their own


class Lexical:
    """An inverted index with weights computed once; a search touches only the postings of its own words."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        self._names = [topic.name for topic in topics if topic.enabled]
        documents: list[tuple[int, list[str], float]] = []
        for number, topic in enumerate(t for t in topics if t.enabled):
            documents.append((number, words(topic.name.replace("_", " ")), 0.9))
            documents.extend((number, words(query), 1.0) for query in topic.example_queries)
            if topic.content:
                documents.append((number, words(topic.content)[:400], CONTENT_WEIGHT))
        self._bodies = {
            topic.name: Counter(words(f"{topic.name} {topic.content} {topic.actions}"))
            for topic in topics
            if topic.enabled
        }
        frequency: Counter[str] = Counter()
        for _, terms, _ in documents:
            frequency.update(set(terms))
        count = max(len(documents), 1)
        self._idf = {term: math.log(1 + count / (1 + n)) for term, n in frequency.items()}
        self._unknown_idf = math.log(1 + count)
        self._topic_of = np.array([number for number, _, _ in documents], dtype=np.int32)
        self._postings = self._index(documents)
        self._starts = (
            np.flatnonzero(np.r_[True, np.diff(self._topic_of) != 0]) if documents else np.array([], dtype=np.intp)
        )

    def _index(
        self, documents: list[tuple[int, list[str], float]]
    ) -> dict[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]:
        """term -> (documents, the term's share of each document's length times the document's weight)."""
        entries: dict[str, tuple[list[int], list[float]]] = {}
        for place, (_, terms, weight) in enumerate(documents):
            counts = Counter(terms)
            # Long documents are bounded by a pivot, so that content does not win by holding everything.
            norm = math.sqrt(sum((self._idf[t]) ** 2 for t in counts)) or 1.0
            pivot = norm if weight >= 0.9 else max(norm * 0.35, 1.0)
            for term in counts:
                ids, weights = entries.setdefault(term, ([], []))
                ids.append(place)
                weights.append(weight * self._idf[term] / pivot)
        return {t: (np.array(ids, dtype=np.int32), np.array(w, dtype=np.float32)) for t, (ids, w) in entries.items()}

    def scores(self, query: str, earlier: tuple[str, ...] = ()) -> npt.NDArray[np.float32]:
        """Similarity of each topic, 0 to 1, in the order of `names`. Earlier inputs count only when the query says little."""
        terms = words(query)[:MAX_QUERY_WORDS]
        alone = self._score(dict.fromkeys(terms, 1.0))
        if not earlier or not 0 < len(terms) <= SHORT_QUERY_WORDS or float(alone.max(initial=0.0)) >= MATCH_SCORE:
            return alone
        # A short follow-up ("and on Sundays?") that says too little leans on what was said before it.
        weights = dict.fromkeys(terms, 1.0)
        for text in earlier:
            for term in words(text)[:MAX_QUERY_WORDS]:
                weights.setdefault(term, EARLIER_WEIGHT)
        return self._score(weights)

    def _score(self, weights: dict[str, float]) -> npt.NDArray[np.float32]:
        total = np.zeros(len(self._topic_of), dtype=np.float32)
        norm = 0.0
        for term, weight in weights.items():
            idf = self._idf.get(term, self._unknown_idf)
            norm += (weight * idf) ** 2
            posting = self._postings.get(term)
            if posting is not None:
                total[posting[0]] += posting[1] * (weight * idf)
        if norm == 0.0 or not len(total):
            return np.zeros(len(self._names), dtype=np.float32)
        best: npt.NDArray[np.float32] = np.maximum.reduceat(total, self._starts)
        best /= math.sqrt(norm)
        return np.minimum(best, 1.0)

    def wait(self, seconds: float) -> None:
        """Whole from the start."""

    @property
    def names(self) -> list[str]:
        return self._names

    def search(
        self, query: str, earlier: tuple[str, ...], *, limit: int, threshold: float, excluded: Collection[str] = ()
    ) -> list[Match]:
        return nearest(self._names, self.scores(query, earlier), limit=limit, threshold=threshold, excluded=excluded)

    def similarity(self, text: str, topic: str) -> float:
        body = self._bodies.get(topic)
        terms = set(words(text))
        if not body or not terms:
            return 0.0
        weight = {term: self._idf.get(term, self._unknown_idf) for term in terms}
        return sum(w for term, w in weight.items() if term in body) / sum(weight.values())


def distance(score: float) -> float:
    """Bends a similarity so that MATCH_SCORE lies at MATCH_DISTANCE: the format's thresholds keep their meaning."""
    if score >= MATCH_SCORE:
        return MATCH_DISTANCE * (1 - score) / (1 - MATCH_SCORE)
    return 1 - (1 - MATCH_DISTANCE) * score / MATCH_SCORE


def nearest(
    names: list[str], scores: npt.NDArray[np.float32], *, limit: int, threshold: float, excluded: Collection[str]
) -> list[Match]:
    if not len(scores):
        return []
    take = min(len(scores), limit + len(excluded))
    order = np.argpartition(-scores, take - 1)[:take] if take < len(scores) else np.arange(len(scores))
    found = [Match(name=names[i], distance=round(distance(float(scores[i])), 4)) for i in order]
    found = [match for match in found if match.distance <= threshold and match.name not in excluded]
    found.sort(key=lambda match: (match.distance, match.name))
    return found[:limit]
