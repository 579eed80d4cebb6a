"""Names of people: what is introduced as one, and first names that are no other word, with what follows them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vivavoce.redaction.text import SENTENCE_ENDS, Span, Token
from vivavoce.redaction.vocabulary import (
    ALSO_WORDS,
    COMMON_WORDS,
    DIGITS,
    ENGLISH_WORDS,
    FILLERS,
    FIRST_NAMES,
    GREETINGS,
    KIN,
    MONTHS,
    TEENS,
    TENS,
    TITLES,
)

_INTRODUCTIONS = tuple(
    tuple(words.split())
    for words in (
        "my name is|my name's|the name is|the name's|name is|name's|name|first name|last name|surname|family name|surname is"
        "|first name is|last name is|last name's|first name's|surname's|maiden name|this is|speaking with|speaking to|speak to|speak with|called|"
        "ask for|under|under the name|name of|in the name of|you down as|booked you in as|booked in as|patient is|passenger is|driver is|"
        "attention of|je m'appelle|ich heiße|ich heisse|mein name ist|me llamo|mi nombre es|mon nom est|au nom de|a nombre de|"
        "auf den namen|name on card|name on the card|name on the booking is|calls me|call me|belongs to|tell|driver's|user|hier ist|"
        "le habla|ici|pickup by|reservation for|booking for|booked for|appointment for|it's for|passport for|licence for|"
        "license for|account for|married name|lady called|guy called|man called|woman called|spoke to|spoke with|talked to|dealt with|"
        "signed by|sold by|met with|behalf of|holder is|account holder|transfer to|sent to|emergency contact is|next of kin is|with|from|by|"
        "it's|its|i'm|im|i am|c'est|soy|ich bin|je suis|for|to|named|contact|c est|para|für|pour|von|de parte de|mit|avec|con|hablo con|spreche ich mit|and|could|can|or|es|"
    ).split("|")
    if words
)
_STRONG = {  # after these a word is a name whatever it is, unless it plainly cannot be
    tuple(words.split())
    for words in (
        "my name is|my name's|the name is|the name's|name is|name's|surname|family name|surname is|last name is|last name's|first name|"
        "last name|first name is|first name's|surname's|under the name|name of|in the name of|je m'appelle|ich heiße|ich heisse|mein name ist|"
        "me llamo|mi nombre es|mon nom est|au nom de|a nombre de|auf den namen|name on card|name on the card|name on the booking is|"
        "passenger is|attention of|named|lady called|man called|married name"
    ).split("|")
}
_CAPITAL = {  # after these a capitalised word is a name
    tuple(words.split())
    for words in (
        "booking for|reservation for|booked for|speak to|speaking to|speaking with|ask for|under|patient is|driver is|signed by|"
        "hablo con|you down as|booked in as|belongs to|calls me|appointment for|passport for|account for|licence for|hier ist|ici"
    ).split("|")
}
_NEAR = {  # after these a word that is not common is a name
    tuple(words.split())
    for words in (
        "i'm|im|i am|it's|its|this is|is that|that's|thats|called|tell|speak to|speaking to|speaking with|speak with|chatting with|"
        "spoke to|spoke with|talked to|ask for|under|named|regarding|meet you|reservation for|booking for|booked for|it's for|behalf of|"
        "through to|callback by|traveller is|guest is|he's|she's|patient is|passenger is|driver|manager|nurse|you want|call me|calls me|"
        "soy|ich bin|je suis|c'est|c est|says|put down|it is|you is|patient|pt|user|names are|down as|say|short for|from|with|by|for my"
    ).split("|")
}
_PARTICLES = frozenset("de la del van von der den bin ibn al el ni ní o mac mc st da di du le dos san ter zu".split())
_NOT_NAMES = frozenset(
    "a an the and or but not no yes on in at of to for with by from as is it its it's that this these those there here what"
    " which who whose how when where why i you he she we they me him her us them my your his our their mine one two three"
    " four five six seven eight nine ten please thanks thank okay ok sure just only also about calling ringing speaking"
    " regarding going trying looking having wondering afraid sorry sure good fine great well back still now today tomorrow"
    " tonight monday tuesday wednesday thursday friday saturday sunday morning afternoon evening night order booking account"
    " card number phone mobile email address postcode code password pin name surname first last family maiden middle full"
    " spelled spelt spelling misspelled wrong right correct correctly different same another other someone somebody anyone"
    " customer service support sales claims billing reception manager agent team department bank doctor nurse hospital"
    " new old big small very really so too much many more most some any all every each both either neither un una une ein"
    " eine der die das le la les el los las mi mon ma mein meine su sa son ist est es sind et und y o ou oder mit pour para"
    " für von aus bei nach vor zwei drei dos tres deux trois english spanish french german insurance policy reference table"
    " room delivery refund invoice bill's actually again like kind maybe perhaps probably got get gets been being was were be"
    " am are do does did done have has had can could will would shall should may might must let lets let's going gonna want"
    " wanted need needs needed work works working home office house car bike parcel package pizza food dinner lunch breakfast"
    " birthday wedding party kids children baby family friend friends people person everyone nobody nothing something"
    " anything everything time day week month year hour minute half quarter past after before until till since during ago"
    " pour pas plus bien très oui non sí no ja nein aber hier hoy ayer mañana demain heute morgen gestern".split()
)
_PLACES_AND_THINGS = frozenset(
    "london paris berlin madrid dublin york bristol leeds manchester glasgow edinburgh cardiff belfast monday january english"
    " hotel inn arms street road avenue park station airport terminal bank visa mastercard amex google apple amazon facebook"
    " instagram iphone android wifi netflix dhl ups fedex church hall court square house school college university north south"
    " east west upper lower royal international".split()
)
_SPELLED = re.compile(r"[^\W\d_]")


_BEFORE_NAMES = frozenset(
    (*(words[-1] for words in _STRONG), *TITLES, ".", ",", ":", "-", "um", "uh", "er", "is", "it's", "?")
)


def people(tokens: Sequence[Token], taken: Sequence[tuple[int, int]]) -> list[Span]:
    """`taken` are character ranges that are something else: an e-mail address, a street."""
    found: list[Span] = []
    is_lower_text = not any(t.is_capitalised for t in tokens)
    place = 0
    while place < len(tokens):
        last = _name(tokens, place, taken, is_lower_text)
        if last is None:
            place += 1
            continue
        found.append(Span(tokens[place].start, tokens[last].end, "name"))
        place = last + 1
        place = _spelled_after(tokens, place, tokens[place - 1], found)
    return found


def _is_common(token: Token) -> bool:
    """A word of the language. Written with a capital it may be a surname all the same: Baker, Long."""
    return token.low in COMMON_WORDS or (not token.is_capitalised and token.low in ENGLISH_WORDS)


def _is_taken(token: Token, taken: Sequence[tuple[int, int]]) -> bool:
    return any(start <= token.start < end for start, end in taken)


def _name(tokens: Sequence[Token], place: int, taken: Sequence[tuple[int, int]], is_lower_text: bool) -> int | None:
    """The last token of a name that begins here."""
    token = tokens[place]
    if not token.is_word or not (
        token.is_capitalised
        or not _is_common(token)
        or token.low in FIRST_NAMES
        or (place and tokens[place - 1].low in _BEFORE_NAMES)
        or (place + 1 < len(tokens) and len(tokens[place + 1].text) == 1)
    ):
        return None
    if _is_taken(token, taken) or not _can_be(token):
        return None
    base = token.low.removesuffix("'s")
    if _is_spelled_out(tokens, place):
        return place
    is_known = base in FIRST_NAMES
    is_plain = is_known and base not in ALSO_WORDS
    is_rare = is_known or not (base in COMMON_WORDS or _is_common(token))
    starts = place == 0 or tokens[place - 1].text in SENTENCE_ENDS
    is_proper = token.is_capitalised and not starts
    fits = is_lower_text or token.is_capitalised
    last = _extended(tokens, place, is_lower_text, taken)
    following = tokens[last + 1] if last + 1 < len(tokens) else None
    is_thing = following is not None and following.low in _PLACES_AND_THINGS
    if is_plain and fits and not is_thing:
        return last
    match _introduced(tokens, place):
        case 3 if fits or is_known:
            return last
        case 2 if (
            fits and is_rare and not is_thing and not (is_lower_text and is_known and _is_verb_like(tokens, place))
        ):
            return last
        case 1 if (
            is_known
            and fits
            and (is_proper or _is_alone(tokens, place) or (is_lower_text and not _is_verb_like(tokens, place)))
        ):
            return last
    if is_thing or not token.is_capitalised or is_lower_text or base in MONTHS:
        return None
    is_place = place > 0 and tokens[place - 1].low in _BEFORE_PLACES
    if last > place and is_rare and not _is_common(tokens[last]) and not is_place:
        return last
    return last if is_known and is_proper and not is_place else None


def _is_spelled_out(tokens: Sequence[Token], place: int) -> bool:
    """ "may m a y", "Quigg. Q U I G G", "threlfall that's t h r e l f a l l": what is spelled right after it was said is a name."""
    word = tokens[place].low
    letters = ""
    for token in tokens[place + 1 : place + 5 + 2 * len(word)]:
        if token.low in _SPELLING or token.text in ".,-:":
            continue
        if len(token.text) != 1 or not token.is_word:
            break
        letters += token.low
    return len(word) >= 3 and len(letters) >= 3 and word.startswith(letters[:2])


_SPELLING = frozenset("double that's thats spelled spelt it's as in samoan two three words is".split())
_BEFORE_PLACES = frozenset("the in near of from to el la at on between both through via towards".split())


def _can_be(token: Token) -> bool:
    low = token.low.removesuffix("'s")
    return (
        low not in _NOT_NAMES
        and low not in _PLACES_AND_THINGS
        and low not in DIGITS
        and low not in TEENS
        and low not in TENS
        and low not in GREETINGS
        and low not in KIN
        and low not in TITLES
        and (len(low) > 1 or token.is_capitalised)
    )


def _introduced(tokens: Sequence[Token], place: int) -> int:
    """How surely the words before introduce a name: 3 whatever follows, 2 unless it is a common word, 1 a known name, else 0."""
    before = [t.low for t in tokens[max(0, place - 5) : place]]
    if not before:
        return 2 if _is_all(tokens) else 1
    if before[-1] == "." and len(before) > 1 and before[-2] in TITLES:
        before.pop()
    if before[-1] in TITLES:
        return 3 if before[-1] not in ("m", "sir", "madam", "don", "miss") or tokens[place].is_capitalised else 1
    while before:
        said = [tuple(before[-size:]) for size in range(1, min(5, len(before)) + 1)]
        if any(words in _STRONG for words in said) or (
            tokens[place].is_capitalised and any(words in _CAPITAL for words in said)
        ):
            return 3
        if before[-1] in KIN or before[-1] in GREETINGS or any(words in _NEAR for words in said):
            return 2
        if any(words in _INTRODUCTIONS for words in said):
            return 1
        if before[-1] not in (",", ":", "-", "um", "uh", "er", "is", "it's", "?"):
            return 0
        before.pop()
    return 1


def _is_all(tokens: Sequence[Token]) -> bool:
    """Whether an utterance is nothing but words that are not common: the answer to "your name, please?"."""
    words = [t for t in tokens if t.text not in ".,-–'’" and t.low not in FILLERS]
    return 1 <= len(words) <= 5 and all(
        t.is_word and (t.low in _PARTICLES or t.low in FIRST_NAMES or not _is_common(t)) for t in words
    )


def _extended(tokens: Sequence[Token], place: int, is_lower_text: bool, taken: Sequence[tuple[int, int]]) -> int:
    """Over surnames: capitalised words, or in a text without capitals one more word that can be a name."""
    last = place
    if tokens[place].low.endswith("'s") and tokens[place].low.removesuffix("'s") in FIRST_NAMES:
        return last
    later = place + 1
    words = 0
    while later < len(tokens) and words < 4:
        token = tokens[later]
        if (
            token.text in "-–"
            and later + 1 < len(tokens)
            and tokens[later + 1].start == token.end
            and token.start == tokens[later - 1].end
            and tokens[later + 1].is_word
        ):
            last, later = later + 1, later + 2
            continue
        if (
            token.low in _PARTICLES
            and later + 1 < len(tokens)
            and tokens[later + 1].is_word
            and (tokens[later + 1].is_capitalised or (is_lower_text and not _is_common(tokens[later + 1])))
        ):
            later += 1
            continue
        if not token.is_word or _is_taken(token, taken) or not _can_be(token):
            break
        if is_lower_text:
            is_common = _is_common(token) and token.low not in FIRST_NAMES
            if words >= 2 or token.low in _AFTER_NAMES or len(token.low) == 1 or is_common:
                break
        elif not token.is_capitalised:
            break
        last, words, later = later, words + 1, later + 1
    return last


_AFTER_NAMES = frozenset(
    "here speaking calling again said says told asked called rang wants wanted from works working born ordered sent gave left"
    " came went paid took made took has's picked booked reading sorry hi please lol aged who whose account's member claims"
    " we're i'm he's she's you're they're i'll it's there got went light we mobile phone cell reference date licence passport plate security option press because if while card ending".split()
)


def _is_alone(tokens: Sequence[Token], place: int) -> bool:
    following = tokens[place + 1] if place + 1 < len(tokens) else None
    return (
        following is None
        or not following.is_word
        or following.low in _AFTER_NAMES
        or following.low in ("and", "with", "in", "on")
    )


def _is_verb_like(tokens: Sequence[Token], place: int) -> bool:
    """ "i will", "can mark it": a word that is a name as well, used as the word."""
    following = tokens[place + 1].low if place + 1 < len(tokens) else ""
    before = tokens[place - 1].low if place else ""
    return before in (
        "i",
        "you",
        "can",
        "could",
        "and",
        "or",
        "to",
        "for",
        "with",
        "from",
        "by",
        "it's",
        "its",
    ) and following not in ("", "and")


def _spelled_after(tokens: Sequence[Token], place: int, name: Token, found: list[Span]) -> int:
    """The same name again, letter by letter."""
    later = place
    while later < len(tokens) and (
        tokens[later].text in ",-:" or tokens[later].low in ("that's", "spelled", "spelt", "it's")
    ):
        later += 1
    letters, end = 0, later
    start = later
    while later < len(tokens):
        token = tokens[later]
        if token.low == "double" or token.low == "apostrophe" or token.text in "-,'’":
            pass
        elif len(token.text) == 1 and _SPELLED.fullmatch(token.text):
            letters, end = letters + 1, later
        else:
            break
        later += 1
    if letters >= 2 and tokens[start].low[0] == name.low[0]:
        found.append(Span(tokens[start].start, tokens[end].end, "name"))
        return end + 1
    return place
