"""Which of several options, or which of yes and no, somebody chose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from vivavoce.entities.numbers import TENS, UNITS

_YES = re.compile(
    r"\b(yes|yeah|yep|yup|sure|ok|okay|correct|right|exactly|perfect|absolutely|definitely|certainly|of course|please do|go ahead|"
    r"go for it|do it|do that|book it|sounds? (?:good|great|fine|right)|that's (?:right|it|fine|correct|good|great|all right)|"
    r"that works|works for me|fine|great|agreed|i agree|confirm(?:ed)?|lovely|all good|looks good|spot on|indeed|brilliant)\b"
)
_NO = re.compile(
    r"\b(no|nope|nah|not|don't|do not|doesn't|isn't|wrong|incorrect|never|neither|stop|rather not|change|mistake)\b"
)
_SOFT = re.compile(r"\b(no problem|no worries|not a problem|why not|don't mind|can't wait)\b")


def find_yes_no(text: str) -> bool | None:
    """True for agreement, False for refusal, None when it is neither."""
    said = _SOFT.sub("sure", text.lower().replace("’", "'"))
    no, yes = _NO.search(said), _YES.search(said)
    if no and yes:
        # "no, that's right" and "yes, but change the day": the objection counts, unless it only answers the question.
        return bool(re.match(r"\W*no\W+(?:that's|it's|all)\s+(?:right|fine|good|correct|perfect)", said))
    if no:
        return False
    return True if yes else None


def find_choice(text: str, options: Sequence[str]) -> str | None:
    """The option that is named: whole, by its words, or nearly (a slip of a letter or two)."""
    said = " ".join(re.findall(r"[\w:]+", text.lower()))
    for option in sorted(options, key=len, reverse=True):
        if re.search(rf"\b{re.escape(option.lower())}\b", said):
            return option
    for option in options:
        stems = [_stem(word) for word in option.lower().split()]
        if stems and all(any(_stem(word) == stem for word in said.split()) for stem in stems):
            return option
    written = _written(said)
    if written != said:
        return find_choice(written, options)
    partly = [option for option in options if any(len(w) > 3 and w in said.split() for w in option.lower().split())]
    if len(partly) == 1:
        return partly[0]
    best, score = None, 0.0
    for option in options:
        for word in said.split():
            ratio = SequenceMatcher(None, word, option.lower()).ratio()
            if ratio > score and len(word) > 3:
                best, score = option, ratio
    return best if best is not None and score >= (0.75 if len(best) > 6 else 0.8) else None


def _written(said: str) -> str:
    """ "iphone fifteen" as "iphone 15"."""
    return " ".join(str((UNITS | TENS)[word]) if word in UNITS or word in TENS else word for word in said.split())


def _stem(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) > 3 else word
