"""Learns the weights of the redaction's tagger from the tuning sets, and says by cross-validation what they are worth.

    python bench/tagger.py            four folds, for a few tippings of the scales
    python bench/tagger.py --write    learns from all of it and writes src/vivavoce/redaction/tagger.bin

An averaged perceptron; the same texts give the same weights. The held-out half of the first set is never read.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from msgspec import Struct, msgpack

import personal
from vivavoce.redaction import tagger
from vivavoce.redaction.rules import found_by_rules
from vivavoce.redaction.tagger import OUTSIDE, TAGS, Weights
from vivavoce.redaction.text import Span, Token, merged, tokens

TARGET = Path(__file__).parents[1] / "src" / "vivavoce" / "redaction" / tagger.WEIGHTS
EPOCHS, RUNS, FOLDS = 14, 4, 4
LEAST_SEEN = 2  # features seen less often are left out
TIPPINGS = (3.0, 5.0, 7.0, 9.0)


class Text(Struct, frozen=True):
    text: str
    labelled: list[tuple[int, int, str]]
    words: list[Token]
    rules: list[Span]
    tags: list[int]
    features: list[list[str]]


def read() -> list[Text]:
    found = []
    for _, text, labelled in personal.chosen(for_tuning=True):
        words = tokens(text)
        rules = found_by_rules(text, words)
        tags = [OUTSIDE] * len(words)
        for start, end, category in labelled:
            for n, word in enumerate(words):
                if word.start < end and word.end > start:
                    tags[n] = TAGS.index(category)
        found.append(Text(text, labelled, words, rules, tags, tagger.features(words, rules)))
    return found


def learned(texts: Sequence[Text]) -> Weights:
    seen = Counter(feature for text in texts for of_word in text.features for feature in of_word)
    names = sorted(name for name, count in seen.items() if count >= LEAST_SEEN)
    rows = {crc32(name.encode()): n for n, name in enumerate(names)}
    asked = [
        [[rows[crc32(f.encode())] for f in of_word if seen[f] >= LEAST_SEEN] for of_word in text.features]
        for text in texts
    ]
    values = np.zeros((len(names) + 1, len(TAGS)), dtype=np.float64)
    after = np.zeros((len(TAGS) + 1, len(TAGS)), dtype=np.float64)
    for run in range(RUNS):
        one, two = _perceptron(asked, [text.tags for text in texts], len(names), run)
        values[:-1] += one / RUNS
        after += two / RUNS
    return Weights(rows, values.astype(np.float32), after.astype(np.float32))


def _perceptron(
    asked: Sequence[Sequence[Sequence[int]]], tags: Sequence[Sequence[int]], size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(feature x tag, tag before x tag), each the mean of all that they were on the way."""
    chance = random.Random(seed)
    values, sums = np.zeros((size, len(TAGS))), np.zeros((size, len(TAGS)))
    after, after_sums = np.zeros((len(TAGS) + 1, len(TAGS))), np.zeros((len(TAGS) + 1, len(TAGS)))
    order, step = list(range(len(asked))), 0
    for _ in range(EPOCHS):
        chance.shuffle(order)
        for place in order:
            before = len(TAGS)
            for rows, tag in zip(asked[place], tags[place], strict=True):
                step += 1
                score = values[rows].sum(axis=0) + after[before]
                guess = int(score.argmax())
                score += 1.0  # a margin: the right one must win by so much
                score[tag] -= 1.0
                rival = int(score.argmax())
                if rival != tag:
                    values[rows, tag] += 1
                    values[rows, rival] -= 1
                    sums[rows, tag] += step
                    sums[rows, rival] -= step
                    after[before, tag] += 1
                    after[before, rival] -= 1
                    after_sums[before, tag] += step
                    after_sums[before, rival] -= step
                before = tag if chance.random() < 0.5 else guess
    return values - sums / step, after - after_sums / step


def written(weights: Weights) -> bytes:
    hashes = np.array(list(weights.rows), dtype="<u4")
    scale = float(np.abs(weights.values).max()) / 127
    values = np.rint(weights.values[:-1] / scale).astype(np.int8)
    kept = np.abs(values).max(axis=1) > 0
    body = {
        "hashes": hashes[kept].tobytes(),
        "values": values[kept].tobytes(),
        "scale": scale,
        "after": weights.after.astype("<f4").tobytes(),
    }
    return msgpack.encode(body)


def judged(texts: Sequence[Text], weights: Weights, tipped: float) -> tuple[float, float]:
    """(recall, precision) as `bench/personal.py` counts them."""
    hit = labelled = right = guessed = 0
    for text in texts:
        scores = tagger.scored(text.features, weights)
        margin = scores[:, OUTSIDE] - scores[:, 1:].max(axis=1)
        kept = [
            span
            for span in text.rules
            if span.category not in tagger.UNSURE_RULES or not tagger._is_taken_back(span, text.words, margin)
        ]
        found = merged(kept + tagger._spans(text.words, tagger.tagged(scores, weights.after, tipped)))
        covered = personal.characters(text.text, [(s.start, s.end) for s in found])
        wanted = personal.characters(text.text, [(start, end) for start, end, _ in text.labelled])
        labelled += len(text.labelled)
        hit += sum(personal.characters(text.text, [(s, e)]) <= covered for s, e, _ in text.labelled)
        guessed += len(found)
        for span in found:
            own = personal.characters(text.text, [(span.start, span.end)])
            right += len(own & wanted) * 2 > len(own)
    return hit / labelled, right / guessed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="learn from all texts and write the weights")
    options = parser.parse_args()
    texts = read()
    if options.write:
        TARGET.write_bytes(written(learned(texts)))
        print(f"{len(texts)} texts, {TARGET.stat().st_size:,} bytes")
        return
    random.Random(7).shuffle(texts)
    sums: dict[float, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for fold in range(FOLDS):
        weights = learned([t for n, t in enumerate(texts) if n % FOLDS != fold])
        for tipped in TIPPINGS:
            for place, value in enumerate(judged(texts[fold::FOLDS], weights, tipped)):
                sums[tipped][place] += value / FOLDS
    for tipped, (recall, precision) in sums.items():
        print(f"tipped {tipped:4}  recall {recall:.3f}  precision {precision:.3f}")


if __name__ == "__main__":
    main()
