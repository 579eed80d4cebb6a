"""Small talk and forms of speech, in English."""

from __future__ import annotations

import re

_GREETING = re.compile(
    r"^\W*(?:hi|hello|hey|hiya|good (?:morning|afternoon|evening|day)|howdy)(?:\s+(?:there|again|everyone))?\W*$",
    re.IGNORECASE,
)
_BYE = re.compile(
    r"\b(?:good ?bye|bye(?:-?bye)?|see you|cheerio|that(?:'?s| is| was| will be) (?:all|it|everything)(?! right| good| ok)|nothing (?:else|more)|"
    r"no(?:thing)?,? (?:that's|that is) (?:all|it)|i'?m (?:done|all set|good)|all set|have a (?:good|nice|lovely) (?:day|one|evening|weekend))\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"\?|^\W*(?:and |but |so |oh |wait,? |sorry,? |by the way,? )*(?:what|when|where|who|why|how|which|is|are|do|does|did|can|could|will|would|have|has)\b",
    re.IGNORECASE,
)
_SILENCE = re.compile(r"^the (?:user|caller|customer) (?:is silent|says nothing|said nothing)\W*$", re.IGNORECASE)


def is_silence(said: str) -> bool:
    return _SILENCE.match(said) is not None


def is_question(said: str) -> bool:
    return _QUESTION.search(said) is not None


def is_goodbye(said: str) -> bool:
    return _BYE.search(said) is not None


def small_talk(said: str) -> str | None:
    return "greeting" if _GREETING.match(said) else None


def yes_no_outside(said: str) -> str | None:
    """An answer to "anything else?" that says no more than yes or thanks."""
    if re.match(r"^\W*(?:yes|yeah|yep|sure|ok|okay)(?: please)?\W*$", said, re.IGNORECASE):
        return "What can I do for you?"
    if re.match(
        r"^\W*(?:thanks?(?: you)?(?: (?:very|so) much| a lot)?|great|perfect|lovely|brilliant|cheers|ok|okay|good)(?:,? (?:thanks?(?: you)?|that helps))?\W*$",
        said,
        re.IGNORECASE,
    ):
        return "You are welcome. Is there anything else I can do for you?"
    return None


def asks_whether_heard(said: str) -> bool:
    return re.search(r"\b(?:can|do) you hear me\b|\bare you (?:still )?there\b", said, re.IGNORECASE) is not None


def is_refusal(said: str) -> bool:
    """ "I don't want to book": the words of a wish, and no wish."""
    return (
        re.search(
            r"\bi (?:don'?t|do not|no longer) want (?:to|a|an|any)\b(?!.*\b(?:but|instead|rather|talk|speak)\b)",
            said,
            re.IGNORECASE,
        )
        is not None
    )
