"""Retrieval of passages from connected sources: by the share of a question that a passage has words for, and by meaning."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vivavoce.domain.agent import Passage
from vivavoce.domain.clock import Embedder
from vivavoce.entities.words import words
from vivavoce.knowledge.indexing import embedded
from vivavoce.knowledge.interface import PassageMatch

ENOUGH = 0.5  # a score that counts as an answer
NEAR_COSINE = 0.55  # what a passage that answers scores with the packaged model
WORDS_SHARE = 0.4


class PassageIndex:
    """Built once for a tree; `index` embeds texts for keeping, `embedder` questions."""

    def __init__(
        self, passages: Sequence[Passage], embedder: Embedder | None = None, index: Embedder | None = None
    ) -> None:
        terms = [words(f"{p.source} {p.heading} {p.text}") for p in passages]
        frequency = Counter(term for found in terms for term in set(found))
        self._count = len(passages)
        self._idf = {term: math.log(1 + self._count / n) for term, n in frequency.items()}
        self._unknown_idf = math.log(1 + self._count)
        self._postings: dict[str, npt.NDArray[np.int32]] = {}
        places: dict[str, list[int]] = {}
        for number, found in enumerate(terms):
            for term in set(found):
                places.setdefault(term, []).append(number)
        self._postings = {term: np.array(numbers, dtype=np.int32) for term, numbers in places.items()}
        self._embedder = embedder
        self._vectors: npt.NDArray[np.float32] | None = None
        self._indexing: threading.Thread | None = None
        if embedder is not None and passages:
            texts = [f"{p.heading}. {p.text}" if p.heading else p.text for p in passages]
            self._indexing = threading.Thread(
                target=self._index, args=(texts, index or embedder), name="embed-passages"
            )
            self._indexing.daemon = True
            self._indexing.start()

    def _index(self, texts: list[str], index: Embedder) -> None:
        self._vectors = embedded(texts, index)

    def wait(self, seconds: float) -> None:
        if self._indexing is not None:
            self._indexing.join(seconds)

    def search(self, question: str, earlier: tuple[str, ...] = (), *, limit: int = 3) -> list[PassageMatch]:
        """The passages that may answer, best first. A question of a word or two leans on the one before it."""
        asked = words(question)
        if not asked or not self._count:
            return []
        text = f"{earlier[0]} {question}" if earlier and len(asked) < 2 else question
        scores = self._coverage(words(text))
        vectors = self._vectors
        if self._embedder is not None and vectors is not None:
            vector = np.array(self._embedder.embed([text[:1000]])[0], dtype=np.float32)
            meaning = np.clip((vectors @ vector) / NEAR_COSINE, 0.0, 1.0)
            scores = WORDS_SHARE * scores + (1 - WORDS_SHARE) * meaning
        order = np.argsort(-scores, kind="stable")[:limit]
        return [
            PassageMatch(number=int(n), distance=round(float(1 - scores[n]), 4))
            for n in order
            if float(scores[n]) >= ENOUGH
        ]

    def _coverage(self, asked: list[str]) -> npt.NDArray[np.float32]:
        total = np.zeros(self._count, dtype=np.float32)
        whole = 0.0
        for term in dict.fromkeys(asked):
            idf = self._idf.get(term, self._unknown_idf)
            whole += idf
            posting = self._postings.get(term)
            if posting is not None:
                total[posting] += idf
        return total / whole if whole else total
