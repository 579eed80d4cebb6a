"""Street addresses, typed and said, with the town that is named along with them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vivavoce.redaction.text import Span, Token
from vivavoce.redaction.vocabulary import MONTHS, NUMBERS, UNITS

_STREETS = frozenset(
    "street st road rd avenue ave av lane ln drive dr close crescent court ct way place pl square sq terrace grove gardens"
    " boulevard blvd walk hill park row mews parade parkway pkwy highway hwy circle cir trail trl view rise green mount quay"
    " gate wharf alley bend cove loop path crossing esplanade strand residency enclave nagar layout colony marg chowk cross"
    " track approach steps paddock meadows cuttings chase downs hawthorns box trading estate main yard hollow fold croft vale ridge heights house lodge towers apartments mansions villas".split()
)
_LEADING = frozenset(
    "rue avenue boulevard chemin place allée impasse quai cours calle avenida paseo plaza camino carrer ronda travesía avda"
    " route".split()
)
STREET_WORDS = _STREETS | _LEADING
_GERMAN_ENDS = tuple("straße strasse str weg gasse allee platz ring damm ufer graben stieg markt hof chaussee".split())
_GERMAN = re.compile(rf"\w{{3,40}}(?:{'|'.join(_GERMAN_ENDS)})\.?", re.IGNORECASE)
_UNITS = frozenset(
    "flat apartment apt unit suite room house number no block building plot appartement piso villa".split()
)
_NUMBERISH = frozenset(["hundred", "and", "thousand", "double"])
_ENDS = frozenset(
    "it's its and but so is on for to at that's i i'm please my the with in he she they where who top near next by phone"
    " postcode zip code tel mobile because if then not or we you just right thanks okay from has was".split()
)
_MAX_NUMBER = 9  # tokens
_MAX_WORDS = 5  # of a street's name
_CUES = frozenset(
    "address live lives living vivo vive habite wohne deliver delivered delivery adresse dirección direccion ship moved moving"
    " send sent collected at down pickup".split()
)
_HOUSES = frozenset(
    "cottage farm lodge house barn hall mill rectory dairy forge bungalow villas court site park manor vicarage grange stables"
    " chapel cottages estate maltings residency apartments towers heights".split()
)


def addresses(tokens: Sequence[Token]) -> list[Span]:
    found: list[Span] = []
    if not any(
        t.low in STREET_WORDS or t.low in _HOUSES or t.low in _CUES or t.low.endswith(_GERMAN_ENDS) for t in tokens
    ):
        return found
    place = 0
    while place < len(tokens):
        token = tokens[place]
        is_start = token.low in _LEADING or _is_number(token) or token.low.endswith(_GERMAN_ENDS) or token.low in _UNITS
        if not (is_start or token.is_capitalised):
            place += 1
            continue
        span = (
            _from_number(tokens, place)
            or _from_street_word(tokens, place)
            or _german(tokens, place)
            or _announced(tokens, place)
            or _house(tokens, place)
        )
        if span is None:
            place += 1
            continue
        first, last = span
        first, last = _with_unit(tokens, first), _with_town(tokens, last)
        found.append(Span(tokens[first].start, tokens[last].end, "address"))
        place = last + 1
        code = _postal_code(tokens, place)
        if code is not None:
            found.append(Span(tokens[code].start, tokens[code].end, "postcode"))
    return found


def _postal_code(tokens: Sequence[Token], place: int) -> int | None:
    """Four to six digits right after an address."""
    if place < len(tokens) and tokens[place].text == ",":
        place += 1
    if place < len(tokens) and re.fullmatch(r"\d{4,6}", tokens[place].text):
        return place
    return None


def _is_number(token: Token) -> bool:
    return token.text[0].isdigit() or token.low in NUMBERS


def _from_number(tokens: Sequence[Token], first: int) -> tuple[int, int] | None:
    """ "14 Elm Road", "one hundred and four saint james street"."""
    if not _is_number(tokens[first]):
        return None
    place = first
    while place < min(len(tokens), first + _MAX_NUMBER) and (_is_number(tokens[place]) or tokens[place].low in _NUMBERISH or (len(tokens[place].text) == 1 and tokens[place].is_word) or tokens[place].text == "-"):  # fmt: skip
        place += 1
    street = place
    if (
        place < len(tokens)
        and tokens[place].text == ","
        and place + 1 < len(tokens)
        and tokens[place + 1].low in _LEADING
    ):
        place += 1
    if place < len(tokens) and tokens[place].low in _LEADING and place + 1 < len(tokens):
        return first, _phrase(tokens, place + 1)
    for later in range(place, min(len(tokens), place + _MAX_WORDS)):
        token = tokens[later]
        if not token.is_word or token.low in _ENDS - {"the"}:
            return None
        if token.low in _STREETS and later > street:
            return first, later
    return None


def _from_street_word(tokens: Sequence[Token], first: int) -> tuple[int, int] | None:
    """ "calle Serrano 45": the kind of street first, and a number after its name."""
    if tokens[first].low not in _LEADING:
        return None
    for later in range(first + 1, min(len(tokens), first + 7)):
        if tokens[later].text[0].isdigit():
            return first, later
        if not tokens[later].is_word and tokens[later].text != ",":
            return None
    return None


def _german(tokens: Sequence[Token], first: int) -> tuple[int, int] | None:
    place = first + 1
    if not _GERMAN.fullmatch(tokens[first].text):
        return None
    if place < len(tokens) and tokens[place].text == ".":
        place += 1
    if place >= len(tokens) or not _is_number(tokens[place]):
        return None
    if first and tokens[first - 1].low in ("am", "im", "an", "in", "zum", "zur") and tokens[first - 1].is_capitalised:
        first -= 1
    while (
        place + 1 < len(tokens)
        and len(tokens[place + 1].text) == 1
        and tokens[place + 1].is_word
        and tokens[place + 1].start == tokens[place].end
    ):
        place += 1
    return first, place


def _announced(tokens: Sequence[Token], first: int) -> tuple[int, int] | None:
    """After "i live at" and its kin: a number and the words that follow it, whatever kind of street they name."""
    before = [t.low for t in tokens[max(0, first - 5) : first]]
    if not (_is_number(tokens[first]) or tokens[first].low in _UNITS) or not any(low in _CUES for low in before):
        return None
    place = first
    while place < min(len(tokens), first + _MAX_NUMBER) and (
        _is_number(tokens[place])
        or tokens[place].low in _NUMBERISH
        or tokens[place].low in _UNITS
        or tokens[place].text in ",-/"
        or len(tokens[place].text) == 1
    ):
        place += 1
    if place >= len(tokens) or not tokens[place].is_word or tokens[place].low in _ENDS - {"the"} | UNITS | MONTHS:
        return None
    last = place
    for later in range(place, min(len(tokens), place + 3)):
        if not tokens[later].is_word or (tokens[later].low in _ENDS and later > place):
            break
        last = later
    return first, last


def _house(tokens: Sequence[Token], first: int) -> tuple[int, int] | None:
    """A house that has a name: "Rosebank Cottage, Ullapool", "the Old Rectory, Church Lane"."""
    if not tokens[first].is_capitalised:
        return None
    for later in range(first, min(len(tokens) - 2, first + 4)):
        if not tokens[later].is_word or (not tokens[later].is_capitalised and tokens[later].low != "of"):
            return None
        has_more = tokens[later + 1].text == "," and tokens[later + 2].is_capitalised
        if tokens[later].low in _HOUSES and later > first and has_more:
            is_article = first > 0 and tokens[first - 1].low == "the"
            return first - is_article, later
    return None


def _phrase(tokens: Sequence[Token], place: int) -> int:
    last = place
    for later in range(place, min(len(tokens), place + 5)):
        if not tokens[later].is_word:
            break
        last = later
    return last


def _with_unit(tokens: Sequence[Token], first: int) -> int:
    """Backwards over "Flat 3, " and "number ", and a name of the house."""
    place = first
    for earlier in range(first - 1, max(-1, first - 8), -1):
        token = tokens[earlier]
        if token.low in _UNITS:
            place = earlier
        elif not (_is_number(token) or token.text in ",-/" or (len(token.text) == 1 and token.is_word)):
            break
    return place


def _with_town(tokens: Sequence[Token], last: int) -> int:
    """Forwards over ", Bristol", "croydon", ", appartement 12, Lille": up to what is no part of an address."""
    place, words = last + 1, 0
    is_written = any(t.is_capitalised for t in tokens[max(0, last - 3) : last + 1])
    while place < len(tokens) and words < 6:
        token = tokens[place]
        following = tokens[place + 1] if place + 1 < len(tokens) else None
        if token.text == "," and following is not None:
            if not (
                following.is_capitalised
                or following.low in _UNITS
                or (
                    following.text[0].isdigit()
                    and is_written
                    and place + 2 < len(tokens)
                    and tokens[place + 2].text in ",º"
                )
            ):
                break
            place += 1
            continue
        if (
            token.low in _UNITS
            or (token.text[0].isdigit() and tokens[place - 1].low in _UNITS)
            or (len(token.text) == 1 and token.is_word and tokens[place - 1].low in _UNITS)
        ):
            last = place
        elif (
            token.is_word
            and token.low not in _ENDS
            and len(token.text) > 1
            and not _is_number(token)
            and not (following is not None and following.text[0].isdigit() and following.start == token.end)
            and (token.is_capitalised if is_written else words < 3)
        ):
            last, words = place, words + 1
        elif (
            token.text in "º"
            or (is_written and token.text[0].isdigit() and following is not None and following.text == "º")
            or (is_written and len(token.text) == 1 and token.is_capitalised and token.text.isalpha())
        ):
            last = place
        else:
            break
        place += 1
    return last
