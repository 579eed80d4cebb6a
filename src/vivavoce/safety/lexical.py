"""The embedded classifier: patterns of English. It knows what is said outright and little of what is hinted at; a provider's
moderation knows more, and is used where there is one."""

from __future__ import annotations

import re

from vivavoce.domain.conversation import Severity

MAX_CHARACTERS = 20_000

_SOMEBODY = (
    r"(?:you(?:r (?:\w+ )?(?:family|kids|children|staff|team|manager|wife|husband|boss|face|head))?|him|her|them|someone|somebody|everyone|everybody|anyone|people|"
    r"(?:my|his|the|that|this|your|our) (?:\w+ )?(?:neighbou?r|boss|manager|wife|husband|ex|girlfriend|boyfriend|partner|mother|father|brother|sister|colleague|driver|owner|engineer|salesman|"
    r"teacher|landlord|kids?|child(?:ren)?|dog|face|legs?|neck|throat|skull|head))"
)
_HARM = r"(?:kill|murder|stab|shoot|strangle|hurt|beat(?: up)?|attack|punch|kick|slap|hit|smash|break|burn|choke|poison|slit|behead|torture|bash)"
_INTENT = r"(?:i(?:'m| am) (?:going to|gonna|about to|coming (?:down |over |round )?(?:there )?to)|i(?:'ll| will)|we(?:'ll| will)|i swear i(?:'ll| will)|let me)"
_GROUP = (
    r"(?:jews?|jewish people|muslims?|christians?|hindus?|sikhs?|blacks?|black (?:people|person|men|man|women|woman)|asians?|indians?|chinese people|africans?|arabs?|mexicans?|poles|roma(?: people)?|"
    r"g[yi]psies|travellers|immigrants?|foreigners?|refugees|gays?|gay (?:people|men|man)|lesbians?|homosexuals?|trans(?:gender)? people|women|men|the disabled|disabled people|old people|white people|"
    r"those people|you people|your (?:kind|lot|sort))"
)
_SLIGHT = (
    r"(?:filthy|dirty|disgusting|subhuman|animals?|vermin|parasites?|inferior|stupid|thieves|criminals|lazy|liars|unnatural|freaks|scum|terrorists|evil|greedy|no good|useless|idiots|"
    r"a disease|retards?|savages)"
)

PATTERNS: dict[str, tuple[tuple[Severity, str], ...]] = {
    "violence": (
        ("high", rf"\b{_INTENT}\s+(?:\w+\s+){{0,3}}?{_HARM}\s+{_SOMEBODY}"),
        ("high", r"\b(?:burn|blow up|bomb|torch|shoot up)\s+(?:down\s+)?(?:your|the|this|that)\s+(?:\w+\s+)?(?:building|house|office|shop|store|branch|place|school|station|car)"),
        ("high", r"\bthere(?:'s| is| will be)\s+a\s+bomb\b|\bi(?:'ve| have)(?: got)? a (?:bomb|gun|knife|weapon)\b|\bbring(?:ing)? (?:a|my) (?:weapon|gun|knife)\b"),
        ("high", r"\b(?:or|and)\s+(?:else\s+)?(?:i(?:'ll| will)\s+(?:\w+\s+)?" + _HARM + r"|(?:somebody|someone|people|you(?:'ll)?|they(?:'ll)?)\s+(?:in [\w ]{1,25})?(?:will\s+)?(?:dies?|gets? hurt|get killed))"),
        ("high", r"\b(?:you(?:'re| are) (?:a )?dead(?: man| meat)?\b|i know where you live|watch your back|they(?:'ll| will) all (?:pay|die))"),
        ("medium", rf"\b(?:i|we)\s+(?:want|would like|wanna|need|am dying|can't wait)\s+to\s+{_HARM}\s+(?:{_SOMEBODY}|(?:that|the|this|your) \w+'s face)"),
        ("medium", rf"\b(?:hope|wish)\s+(?:somebody|someone|they|you|he|she)\s+(?:\w+\s+)?(?:{_HARM}s?|dies?|gets? (?:hurt|killed|shot|stabbed))"),
        ("medium", r"\bdeserves?\s+to\s+(?:be\s+(?:\w+\s+)?(?:stabbed|shot|killed|beaten(?: up)?|hurt|hanged|punched)|die)\b"),
        ("medium", rf"\bi\s+(?:punched|hit|beat(?: up)?|kicked|stabbed|slapped|attacked|choked)\s+{_SOMEBODY}"),
        ("low", rf"\bi\s+(?:could|feel like|might|'d (?:happily|love to|like to))\s+(?:\w+ing|{_HARM})?\s*(?:strangl|punch|kill|hit|throttl|slap|{_SOMEBODY})"),
        ("low", r"\b(?:ought to|should|needs?)\s+(?:give \w+ (?:\w+ )?a (?:slap|kicking|beating|good hiding)|teach [\w ]{1,30} a lesson with|a (?:slap|kicking|good hiding))\b"),
        ("low", r"\bthere(?:'ll| will) be trouble for you\b|\bsmashed up\b.{0,20}\bcry\b|\bcry\b.{0,40}\bsmashed up\b"),
    ),
    "hate": (
        ("high", rf"\b{_GROUP}\b[^.!?]{{0,40}}\b(?:should|must|ought to|deserve to|need to)\s+(?:all\s+)?(?:be\s+)?(?:killed|put to death|exterminated|die|hanged|shot|gassed|wiped out|rounded up|burned?)\b"),
        ("high", rf"\b(?:kill|attack|hurt|beat up|exterminate|round up|get rid of|wipe out)\s+(?:all\s+|every\s+|any\s+|the\s+)*(?:next\s+)?{_GROUP}\b"),
        ("high", r"\b(?:synagogue|mosque|church|temple)\s+to\s+(?:hurt|kill|attack|shoot)"),
        ("medium", rf"\b{_GROUP}\s+(?:are|is)\s+(?:all\s+|just\s+|nothing but\s+|a bunch of\s+|such\s+)?{_SLIGHT}\b"),
        ("medium", rf"\b(?:i|we)\s+(?:hate|despise|detest|can't stand|loathe)\s+(?:all\s+|the\s+|those\s+|these\s+)?{_GROUP}\b"),
        ("medium", rf"\b(?:go back to (?:your|their) (?:own )?country|{_GROUP} (?:don't|do not) belong|{_GROUP} out\b)"),
        ("low", rf"\b(?:don't|do not|won't|never)\s+(?:trust|want|like|deal with|talk to|speak to|serve)\s+(?:to\s+)?(?:any\s+|a\s+|an\s+|the\s+|those\s+)?{_GROUP}\b"),
        ("low", rf"\bprefer\s+not\s+to\s+(?:\w+\s+){{0,3}}(?:a\s+|an\s+|any\s+)?{_GROUP}\b"),
        ("low", rf"\b(?:those|these|all|typical)\s+{_GROUP}\b[^.!?]{{0,30}}\b{_SLIGHT}\b|\b{_GROUP}\s+(?:always|never)\s+\w+|\byou lot\b[^.!?]{{0,30}}\b{_SLIGHT}\b|\b{_GROUP} are (?:\w+ )?{_SLIGHT}"),
    ),
    "sexual": (
        ("high", r"\b(?:have|having|want|give me|offer)\s+(?:\w+\s+){0,2}?(?:sex|intercourse|a blow ?job|oral(?: sex)?)\s+(?:with|from|right|now|and|or|whether)?\s*(?:you|me|your|him|her|one|right|now|i)?"),
        ("high", r"\b(?:masturbat\w*|orgasm\w*|jerk(?:ing)? off|blow ?job|cum on)\b|\b(?:photo|picture|pic|video)s?\s+of\s+my\s+(?:penis|dick|cock|genitals|privates)\b|\bdick pics?\b"),
        ("high", r"\b(?:get|take)\s+(?:undressed|naked|(?:your|all your) clothes off)\b|\byour naked body\b|\bsend (?:me )?(?:nudes|naked)\b"),
        ("high", r"\bsex with (?:one of )?your (?:girls|women|staff|colleagues?)\b|\bhow much for (?:an hour|a night) (?:of sex|with)\b"),
        ("medium", r"\b(?:phone|cyber|video)\s*sex\b|\bsext(?:ing)?\b|\b(?:erotic|porn\w*|dirty)\s+(?:story|stories|talk|chat|roleplay|video)\w*\b|\btalk dirty\b"),
        ("medium", r"\bsleep with me\b|\b(?:turned|turns?|turning) (?:me )?on (?:by |listening|hearing|when|to)|\byour (?:boobs|tits|breasts|bum|arse)\b|\bmake love\b|\bmy lover\b"),
        ("low", r"\bwhat(?:'s| are) you wearing\b|\btake you to bed\b|\byou (?:look|sound|must be|are)\s+(?:so\s+|really\s+)?(?:hot|sexy)\b|\bnaughty (?:boy|girl)\b|\bscreamer\b|\b(?:hot|sexy) in that\b"),
    ),
    "self_harm": (
        ("high", r"\b(?:i(?:'m| am) (?:going to|gonna|about to)|i(?:'ll| will)|i(?:'ve| have) decided to)\s+(?:just\s+)?(?:kill myself|end (?:it all|my life|it)|jump|hang myself|overdose|take all (?:my|the) (?:pills|tablets)|step in front of|slit my)"),
        ("high", r"\b(?:ending|end)\s+(?:it|my life|everything)\s+(?:all\s+)?(?:today|tonight|now|tomorrow)\b|\b(?:written|made|got)\s+(?:a|my)\s+(?:suicide note|plan to (?:die|end))|\bwon't be alive\b|\bi will end my life\b|\bgoodbye forever\b"),
        ("high", r"\b(?:on|at) (?:the|a) (?:bridge|edge|roof|ledge)\b[^.!?]{0,30}\bjump\b"),
        ("medium", r"\b(?:suicid\w+|kill(?:ed|ing)? myself|end(?:ing)? my (?:own )?life|hurt(?:ing)? myself|harm(?:ing)? myself|self[- ]harm\w*|cut(?:ting)? myself again|starve myself|take all my (?:pills|tablets)|taking all my (?:pills|tablets))\b"),
        ("medium", r"\bi (?:wish i (?:was|were) dead|want to die|don't want to (?:live|be alive|be here any ?more)|hate being alive)\b"),
        ("low", r"\b(?:better off without me|nobody would (?:notice|care|miss me)|no one would (?:notice|care|miss me)|don't (?:think i )?matter to any(?:one|body)|a burden (?:on|to) (?:my|every)|see (?:a|any|no) way out|no reason to (?:live|go on)|what's the point of (?:living|going on))\b"),
        ("low", r"\b(?:not wake up|never wake up|want everything to stop|can't go on like this|want it all to stop|wish i could disappear)\b"),
    ),
    "jailbreak": (
        ("high", r"\b(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+|the\s+|your\s+|of\s+|my\s+)*(?:previous|prior|above|earlier|system|original)\s+(?:instructions?|prompts?|rules|directions|guidelines)\b"),
        ("high", r"\b(?:ignore|disregard|forget)\s+(?:all\s+)?(?:of\s+)?your\s+(?:instructions|rules|guidelines|programming|system prompt)\b"),
        ("high", r"\b(?:print|show|reveal|repeat|output|tell me|give me|what is)\s+(?:me\s+)?(?:your|the)\s+(?:full\s+|entire\s+|exact\s+|hidden\s+)?(?:system prompt|initial instructions|hidden instructions|developer message)\b"),
        ("high", r"\byou are (?:now )?(?:dan|in developer mode|jailbroken|an? (?:ai|model) without (?:any )?(?:rules|restrictions|limits))\b|\b(?:enable|enter|activate) (?:developer|dan|god|jailbreak) mode\b"),
    ),
}  # fmt: skip
_COMPILED = {
    category: tuple((severity, re.compile(pattern, re.IGNORECASE)) for severity, pattern in patterns)
    for category, patterns in PATTERNS.items()
}
_RANK: dict[Severity, int] = {"low": 0, "medium": 1, "high": 2}


class LexicalClassifier:
    name = "lexical"

    async def classify(self, text: str) -> dict[str, Severity]:
        return classify(text)

    async def close(self) -> None: ...


def classify(text: str, categories: tuple[str, ...] = tuple(PATTERNS)) -> dict[str, Severity]:
    said = text[:MAX_CHARACTERS].replace("’", "'")
    found: dict[str, Severity] = {}
    for category in categories:
        for severity, pattern in _COMPILED[category]:
            if (category not in found or _RANK[severity] > _RANK[found[category]]) and pattern.search(said):
                found[category] = severity
    return found
