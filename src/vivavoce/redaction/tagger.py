"""What the rules miss and what they take too eagerly, judged word by word by weights that were learned from labelled utterances.

A linear tagger: each word has features (itself, its neighbours, its form, lists that it is on, what the rules say of it), each
feature has a weight for each category, and the category of the word before counts too. `bench/tagger.py` learns the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple
from zlib import crc32

import numpy as np
from msgspec import msgpack
from numpy.typing import NDArray

from vivavoce.redaction.places import STREET_WORDS
from vivavoce.redaction.text import Span, Token
from vivavoce.redaction.vocabulary import COMMON_WORDS, CUE_OF, ENGLISH_WORDS, FIRST_NAMES, KIN, MONTHS, NUMBERS, TITLES

CATEGORIES = (
    "name", "address", "secret", "card_security", "date_of_birth", "phone", "account_number", "email", "postcode", "payment_card",
    "bank_account", "passport", "national_id", "vehicle_plate", "url_personal", "driving_licence", "ip_address",
)  # fmt: skip
TAGS = ("", *CATEGORIES)  # the first is of words that are nobody's
OUTSIDE = 0
# Chosen by cross-validation on the tuning sets: how far the scales are tipped towards finding, and how sure the tagger must be
# that a word is nobody's before it takes back what a rule has found.
TIPPED = 5.0
SURE = 3.0
UNSURE_RULES = frozenset(("name", "address", "secret"))  # whose finds may be taken back
WEIGHTS = "tagger.bin"


class Weights(NamedTuple):
    rows: dict[int, int]  # hash of a feature -> its row
    values: NDArray[np.float32]  # row x tag; the last row is of features that nobody has seen
    after: NDArray[np.float32]  # tag before, or none -> tag


@cache
def weights() -> Weights:
    body = msgpack.decode(resources.files("vivavoce.redaction").joinpath(WEIGHTS).read_bytes())
    hashes = np.frombuffer(body["hashes"], dtype="<u4")
    values = (
        np.frombuffer(body["values"], dtype=np.int8).reshape(len(hashes), len(TAGS)).astype(np.float32) * body["scale"]
    )
    after = np.frombuffer(body["after"], dtype="<f4").reshape(len(TAGS) + 1, len(TAGS))
    unseen = np.zeros((1, len(TAGS)), dtype=np.float32)
    return Weights({int(h): n for n, h in enumerate(hashes)}, np.concatenate((values, unseen)), after)


def corrected(words: Sequence[Token], found: Sequence[Span]) -> list[Span]:
    """What the rules have found, without what the tagger takes back, and with what it has found besides."""
    if not words:
        return list(found)
    scores = scored(features(words, found), weights())
    margin = scores[:, OUTSIDE] - scores[:, 1:].max(axis=1)
    kept = [span for span in found if span.category not in UNSURE_RULES or not _is_taken_back(span, words, margin)]
    return kept + _spans(words, tagged(scores, weights().after))


def _is_taken_back(span: Span, words: Sequence[Token], margin: NDArray[np.float32]) -> bool:
    own = [margin[n] for n, word in enumerate(words) if word.start < span.end and word.end > span.start]
    return bool(own) and min(own) > SURE


def _spans(words: Sequence[Token], tags: Sequence[int]) -> list[Span]:
    """Runs of one category."""
    spans: list[Span] = []
    for n, tag in enumerate(tags):
        if tag == OUTSIDE:
            continue
        if n and tags[n - 1] == tag:
            spans[-1] = Span(spans[-1].start, words[n].end, spans[-1].category)
        else:
            spans.append(Span(words[n].start, words[n].end, TAGS[tag]))
    return spans


def scored(asked: Sequence[Sequence[str]], known: Weights) -> NDArray[np.float32]:
    """word x tag, without regard to the tag before."""
    unseen = len(known.values) - 1
    get = known.rows.get
    rows = [get(crc32(feature.encode()), unseen) for of_word in asked for feature in of_word]
    found: NDArray[np.float32] = known.values[rows].reshape(len(asked), -1, len(TAGS)).sum(axis=1)
    return found


def tagged(scores: NDArray[np.float32], after: NDArray[np.float32], tipped: float = TIPPED) -> list[int]:
    """From left to right, each word the best tag after the one before."""
    tags: list[int] = []
    before = len(TAGS)
    for row in scores:
        total = row + after[before]
        total[OUTSIDE] -= tipped
        before = int(total.argmax())
        tags.append(before)
    return tags


def features(words: Sequence[Token], found: Sequence[Span]) -> list[list[str]]:
    """Of each word equally many."""
    low = ["^", "^", *(word.low for word in words), "$", "$"]
    forms = ["^", *(_form(word) for word in words), "$"]
    lists = ["^", *(_marks(word.low) for word in words), "$"]
    rules = ["^", *_rules(words, found), "$"]
    case = "U" if any(form[0] == "X" for form in forms) else "L"
    length = str(min(len(words), 8))
    asked = []
    for n in range(len(words)):
        w2, w1, word, v1, v2 = low[n : n + 5]
        f1, form, g1 = forms[n : n + 3]
        l1, on, k1 = lists[n : n + 3]
        r1, rule, s1 = rules[n : n + 3]
        kind = on + form
        asked.append([
            "b", "w=" + word, "w-=" + w1, "w+=" + v1, "w--=" + w2, "w++=" + v2,
            "f=" + case + form, "f-=" + f1 + "|" + form, "f+=" + form + "|" + g1,
            "l=" + on + case, "l-=" + l1 + "|" + on, "l+=" + on + "|" + k1,
            "w-w--=" + w1 + "|" + w2, "w-k=" + w1 + "|" + kind, "w--w-l=" + w2 + "|" + w1 + "|" + on, "lw+=" + on + "|" + v1,
            "3=" + word[-3:], "2=" + word[-2:] + case, "p=" + word[:3], "n=" + length + kind,
            "r=" + rule, "r-=" + r1 + "|" + rule, "r+=" + rule + "|" + s1, "rk=" + rule + kind,
            "w-w=" + w1 + "|" + word, "ww+=" + word + "|" + v1,
        ])  # fmt: skip
    return asked


def _form(word: Token) -> str:
    text = word.text
    if text.isdigit():
        return f"d{min(len(text), 5)}"
    if not text[0].isalnum():
        return text
    if text.isupper():
        return "X" if len(text) == 1 else "XX"
    if text[0].isupper():
        return "Xx"
    if any(c.isdigit() for c in text):
        return "xd"
    return "x" if len(text) == 1 else "xx"


@lru_cache(maxsize=32_768)
def _marks(low: str) -> str:
    """The lists that a word is on."""
    bare = low.removesuffix("'s")
    cue = CUE_OF.get(low)
    found = "".join(
        mark
        for mark, is_on in (
            ("F", bare in FIRST_NAMES),
            ("C", low in COMMON_WORDS),
            ("E", low in ENGLISH_WORDS),
            ("N", low in NUMBERS),
            ("M", low in MONTHS),
            ("S", bare in STREET_WORDS),
            ("T", low in TITLES),
            ("K", low in KIN),
            (f"q{cue[:4]}" if cue else "", cue is not None),
        )
        if is_on
    )
    return found or "-"


def _rules(words: Sequence[Token], found: Sequence[Span]) -> list[str]:
    said = ["O"] * len(words)
    for span in found:
        for n, word in enumerate(words):
            if word.start < span.end and word.end > span.start:
                said[n] = span.category
    return said
