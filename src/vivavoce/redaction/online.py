"""E-mail addresses, links to a person, handles and IP addresses, as they are typed and as they are said."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vivavoce.redaction.text import Span, Token
from vivavoce.redaction.vocabulary import DIGITS, FILLERS, REPEATS, TEENS, TENS

# Each is asked of one piece without spaces at a time, and pieces are short: no text can make them slow.
_PIECE = re.compile(r"[^\s\"<>(),;{}\[\]|]+")
_MAX_PIECE = 320
_EMAIL = re.compile(r"[\w.+'%-]+@[\w-]+(?:\.[\w-]+)+")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)")
_GROUP = "[0-9a-f]{1,4}"
_IPV6 = re.compile(
    rf"(?<![\w:])(?:{_GROUP}:){{2,7}}{_GROUP}(?![\w:])|(?<![\w:])(?:{_GROUP}:){{1,7}}:(?:{_GROUP}(?::{_GROUP})*)?(?![\w:])|::1\b",
    re.IGNORECASE,
)
_HANDLE = re.compile(r"(?<![\w@.])@[A-Za-z_][\w.-]{1,39}\b")
_USER_NAME = re.compile(r"(?<![\w/.@])(?=[\w-]*[A-Za-z])[\w-]*[A-Za-z0-9]_[A-Za-z0-9][\w-]*(?![\w@])")
_SITES = (
    "linkedin|facebook|fb|instagram|insta|twitter|x|tiktok|youtube|github|gitlab|reddit|paypal|venmo|t|telegram|wa|snapchat"
    "|pinterest|flickr|strava|airbnb|medium|behance|soundcloud|vimeo|mastodon|twitch|threads|calendly|cash|ko-fi|patreon"
    "|vinted|depop|etsy|ebay|goodreads|about|linktr|bsky|vk|xing|tumblr|revolut|monzo|discord|steamcommunity|letterboxd"
)
_PATH = r"[\w@./~%?=&+$-]*[\w$]"
_PROFILE = re.compile(
    rf"(?:https?://)?(?:www\.)?(?:[\w-]+\.)?(?:{_SITES})\.(?:com|me|org|net|app|tv|ee|gg|social|be|co|io|us|ly)/{_PATH}"
    rf"|(?:https?://)?(?:www\.)?[\w-]+\.[\w.]+/(?:~|@|u/|user/|users/|in/|id/|members?/|profiles?/|people/){_PATH}"
    r"|(?<!\w)u/[\w-]{3,}|(?<![\w/])/in/[\w-]+|(?<!\w)\$[A-Za-z]\w{2,}",
    re.IGNORECASE,
)
_OWN_SITE = re.compile(r"(?:https?://|www\.)[\w-]+(?:\.[\w-]+)+(?:/[\w@./~%-]*)?", re.IGNORECASE)
_POSSESSIVE = re.compile(
    r"\b(?:my|mi|mon|ma|mein|meine|his|her|personal)\s+(?:\w+\s+){0,3}(?:is|at|on|:|'s)?\s*$", re.IGNORECASE
)
_BEFORE = 60  # characters before a link in which it may be claimed

_DOT = frozenset(["dot", "punto", "punkt", "point", "."])
_AT = frozenset(["at", "arroba", "arobase", "ät", "@"])
_SIGNS = frozenset(
    ["underscore", "dash", "hyphen", "minus", "plus", "guion", "tiret", "bindestrich", "unterstrich", "-", "_"]
)
_SLASH = frozenset(["slash", "barra", "/", "schrägstrich"])
_ENDINGS = frozenset(
    "ac com co org net uk de fr es ie in au us ca example io me edu gov dk nl be it ch at eu info biz app tv gmail".split()
)
_NOT_LOCAL = frozenset(
    "is it's its my email e-mail mail address that's thats it to on me use be yes so as send contact at reach write the"
    " an was under user sent for not or and no okay ok sure e-mail's email's mail's i've got uh um adresse ist est es"
    " correo courriel a by via from".split()
)
_NETWORKS = frozenset(
    "instagram insta twitter x tiktok snapchat handle username user telegram strava reddit threads discord youtube twitch"
    " handle's insta's follow tag tweeted venmo cashtag paypal usuario compte pseudo tik tok social account name"
    " profile bluesky mastodon gamertag".split()
)


_SAID = frozenset(
    "at dot punto punkt point arroba arobase ät slash".split()
)  # without these, nothing of the kind is said


def online(text: str, tokens: Sequence[Token]) -> list[Span]:
    found: list[Span] = []
    for piece in _PIECE.finditer(text):
        if piece.end() - piece.start() <= _MAX_PIECE:
            found += _written(text, piece.group(), piece.start())
    if any(token.low in _SAID for token in tokens):
        found += _said_addresses(tokens)
        found += _said_links(tokens)
        found += _said_ips(tokens)
    return found


def _written(text: str, piece: str, offset: int) -> list[Span]:
    found = []
    if "@" in piece:
        found += [Span(offset + m.start(), offset + m.end(), "email") for m in _EMAIL.finditer(piece)]
        found += [Span(offset + m.start(), offset + m.end(), "url_personal") for m in _HANDLE.finditer(piece)]
    if "_" in piece and "@" not in piece:
        found += [Span(offset + m.start(), offset + m.end(), "url_personal") for m in _USER_NAME.finditer(piece)]
    if piece.count(".") >= 3:
        matches = (m for m in _IPV4.finditer(piece) if _is_address(m.group()))
        found += [Span(offset + m.start(), offset + m.end(), "ip_address") for m in matches]
    if piece.count(":") >= 2:
        found += [Span(offset + m.start(), offset + m.end(), "ip_address") for m in _IPV6.finditer(piece)]
    if "/" in piece or "$" in piece:
        found += [Span(offset + m.start(), offset + m.end(), "url_personal") for m in _PROFILE.finditer(piece)]
    if ("www." in piece or "//" in piece) and _POSSESSIVE.search(text[max(0, offset - _BEFORE) : offset]):
        found += [Span(offset + m.start(), offset + m.end(), "url_personal") for m in _OWN_SITE.finditer(piece)]
    return found


def _is_address(text: str) -> bool:
    return all(int(part) <= 255 for part in text.split("."))


def _is_spelled(low: str) -> bool:
    return len(low) == 1 or low in DIGITS or low in TEENS or low in TENS or low in REPEATS or low.isdigit()


def _said_addresses(tokens: Sequence[Token]) -> list[Span]:
    """Around an "at" that a domain follows: backwards through what can be said of a mailbox."""
    found = []
    for place, token in enumerate(tokens):
        if token.low not in _AT or token.text == "@":
            continue
        end = _domain(tokens, place + 1)
        start = _mailbox(tokens, place - 1)
        if end > place and start < place:
            found.append(Span(tokens[start].start, tokens[end].end, "email"))
    return found


def _domain(tokens: Sequence[Token], place: int) -> int:
    """The last token of a domain that begins here; `place - 1` when none does."""
    start, last = place, place - 1
    words = 0
    while place < len(tokens) and place - start < 14:
        low = tokens[place].low
        if low in _DOT and place + 1 < len(tokens) and place > start:
            ending = tokens[place + 1].low
            if ending in _ENDINGS:
                last = place + 1
                words = 0
                place += 2
                continue
            if [t.low for t in tokens[place + 1 : place + 3]] == ["u", "k"]:
                last = place + 2
                place += 3
                continue
            words = 0
        elif (
            (low not in _SIGNS and low not in FILLERS and last >= start)
            or low in ("and", "is", "the", "my", "?", ",")
            or words > 3
        ):
            break
        else:
            words += 0 if _is_spelled(low) or low in _SIGNS else 1
        place += 1
    return last


def _mailbox(tokens: Sequence[Token], place: int) -> int:
    """The first token of what stands before the "at"."""
    first = place + 1
    was_word = False
    while place >= 0 and first - place <= 1 + 3:
        low = tokens[place].low
        is_sign = low in _DOT or low in _SIGNS
        if low in FILLERS:
            place -= 1
            continue
        if is_sign:
            if first > place + 1 + 2 and not was_word:
                break
            first, was_word = place, False
        elif low in ("in", "for") and place >= 2 and len(tokens[place - 1 if low == "for" else place - 2].low) == 1:
            first, was_word = place, True  # "b as in bravo"
        elif low == "as" and place and len(tokens[place - 1].low) == 1 and tokens[place + 1].low == "in":
            first, was_word = place, False
        elif low in _NOT_LOCAL and not (len(low) == 1 and first == place + 1 and low not in ("s", "e")):
            break
        elif _is_spelled(low):
            first, was_word = place, False
        elif was_word and first == place + 1:
            # two words in a row: one mailbox only where a sign ties them to what follows
            if tokens[first].low in _NOT_LOCAL:
                break
            return place if _ties(tokens, place) else first
        else:
            first, was_word = place, True
        place -= 1
    return first


def _ties(tokens: Sequence[Token], place: int) -> bool:
    return tokens[place].low not in _NOT_LOCAL and place > 0 and tokens[place - 1].low in _NOT_LOCAL


def _said_links(tokens: Sequence[Token]) -> list[Span]:
    """ "facebook dot com slash ...", "w w w dot ...", and "at ..." of a handle."""
    found: list[Span] = []
    for place, token in enumerate(tokens):
        if (
            token.low in _DOT
            and token.text != "."
            and 0 < place < len(tokens) - 1
            and tokens[place + 1].low in _ENDINGS
        ):
            after = place + 2
            if after < len(tokens) and tokens[after].low in _SLASH:
                start = place - 1
                if start and tokens[start - 1].low in ("tik", "w", "linked", "you", "face", "pay", "snap"):
                    start -= 1
                while start and tokens[start - 1].low in ("w", "dot", "at") and tokens[start].low in ("w", "dot"):
                    start -= 1
                found.append(Span(tokens[start].start, tokens[_tail(tokens, after)].end, "url_personal"))
        if token.low == "w" and [t.low for t in tokens[place : place + 4]] == ["w", "w", "w", "dot"]:
            found.append(Span(token.start, tokens[_tail(tokens, place + 3)].end, "url_personal"))
        if token.low == "u" and place + 1 < len(tokens) and tokens[place + 1].low == "slash":
            found.append(Span(token.start, tokens[_tail(tokens, place + 1)].end, "url_personal"))
        if token.low == "at" and place + 1 < len(tokens) and _is_handle(tokens, place):
            found.append(Span(token.start, tokens[_tail(tokens, place)].end, "url_personal"))
    return found


def _is_handle(tokens: Sequence[Token], place: int) -> bool:
    before = [t.low for t in tokens[max(0, place - 5) : place]]
    near = before[-1:] and (
        before[-1] in _NETWORKS
        or before[-1] in ("is", "it's", "'s", "handle's", "me", "insta", "follow", "i'm", "that's", "at")
    )
    return bool(near and any(low.removesuffix("'s") in _NETWORKS for low in before))


def _tail(tokens: Sequence[Token], place: int) -> int:
    """The last token of a path or handle that goes on from here: up to what cannot belong to it."""
    last, words = place, 0
    for later in range(place + 1, min(len(tokens), place + 14)):
        low = tokens[later].low
        if low in _SLASH or low in _DOT or low in _SIGNS or low == "at":
            if tokens[later].text == "." and later == len(tokens) - 1:
                break
            words = 0
        elif (low in _STOPS and later > place + 1) or not (tokens[later].is_word or low.isdigit()):
            break
        else:
            words += 1
            if words > 4:
                break
        last = later
    while last > place and tokens[last].low in (*_DOT, "at", "on", "that"):
        last -= 1
    return last


_STOPS = frozenset(
    "on and that's thats the is it's if so but or for please okay great i i'm i've my you if where that no".split()
)


def _said_ips(tokens: Sequence[Token]) -> list[Span]:
    """Numbers with three or more dots between them."""
    found = []
    place = 0
    while place < len(tokens):
        if not (_is_spelled(tokens[place].low) and tokens[place].low not in REPEATS) or (
            len(tokens[place].low) == 1 and not tokens[place].low.isdigit()
        ):
            place += 1
            continue
        dots, end, later = 0, place, place
        while later < len(tokens):
            low = tokens[later].low
            if low in _DOT and tokens[later].text != ".":
                dots += 1
            elif (_is_spelled(low) and (len(low) > 1 or low.isdigit())) or low in ("hundred", "and") or low in FILLERS:
                if low not in FILLERS and low != "and":
                    end = later
            else:
                break
            later += 1
        if dots >= 3:
            found.append(Span(tokens[place].start, tokens[end].end, "ip_address"))
        place = max(later, place + 1)
    return found
