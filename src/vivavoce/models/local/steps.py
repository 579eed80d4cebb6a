"""What to do in a step: call the function whose arguments are known, or ask for what is missing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from vivavoce.domain.conversation import ModelRequest, Tool
from vivavoce.entities.choices import find_choice, find_yes_no
from vivavoce.entities.numbers import digit_runs, find_number
from vivavoce.entities.people import find_email, find_name, find_phone
from vivavoce.entities.times import find_date, find_time
from vivavoce.models.local import phrases
from vivavoce.models.local.intents import Intents, polarity
from vivavoce.models.local.reading import Decision, called_names, questions

_OPTIONS = re.compile(r"[\"“]([^\"”]{1,40})[\"”]")
_OPTIONAL = re.compile(r"\boptional\b|if (?:known|given|already|specified)", re.IGNORECASE)
_DIGIT_COUNT = re.compile(r"\b(two|three|four|five|six|seven|eight|[2-9])[- ]digits?\b", re.IGNORECASE)
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
# Words that callers use for the options that authors name; only for options that an author did name.
SYNONYMS = {
    "puncture": r"\b(?:punctur\w*|flat|hole in|inner tube|tyre|tire|leak\w*)\b",
    "brakes": r"\b(?:brak\w+|stop(?:s|ping)? properly|squeal\w*)\b",
    "gears": r"\b(?:gear\w*|shift\w*|derailleur|chain (?:slips|jumps))\b",
    "full service": r"\b(?:full|complete|whole|overhaul|everything|the works|service|tune-?up|check-?up|once-?over)\b",
}
_NAMED = re.compile(r"\bmy name\b|\bname's\b|\bunder the name\b|\bthis is [A-Z]|\bspeaking\b")
_ZERO: dict[str, Any] = {"string": "", "integer": 0, "number": 0.0, "boolean": False}


def next_move(request: ModelRequest, intents: Intents, *, is_fresh: bool = False) -> Decision:
    """`is_fresh` when the step was only just entered: nothing said before counts as an answer to its yes or no."""
    assert request.step is not None
    tools = _step_tools(request)
    if not is_fresh:
        said = _last_words(request)
        given = _given_now(request, tools)
        if given is not None:
            return given
        special = intents.special(said, tools)
        if special is not None:
            return call(request, special.name, intents)
        decided = _decided(said, tools)
        if decided is not None:
            return call(request, decided.name, intents)
        partly = _partly_given(request, tools)
        if partly is not None:
            return partly
    # The first function of the prompt that takes something is what the step waits for; what was said before may do for it
    # once, and not again after it has run.
    main = next((tool for tool in tools if tool.schema["properties"]), None)
    if main is not None and not _has_run(request, main):
        known, missing = fill(request, main)
        if not missing and is_fresh:
            return Decision(call=(main.name, {**_zeros(main), **known}))
        if missing:
            return Decision(text=_question(request, main, missing), is_sure=is_fresh)
    own = questions(request.step.text.text)
    return Decision(text=own[0] if own else "Shall I go ahead?", is_sure=is_fresh)


def _given_now(request: ModelRequest, tools: list[Tool]) -> Decision | None:
    """A call whose arguments are complete with what was said just now, for a tool that this step does not mainly wait for."""
    said = asked_and_said(request)[-1:]
    for tool in tools:
        properties = tool.schema["properties"]
        fresh = [
            name for name in properties if said and value_of(request, tool, name, said[0][1], said[0][0]) is not None
        ]
        known, missing = fill(request, tool)
        if fresh and not missing and len(fresh) == len(properties):
            return Decision(call=(tool.name, {**_zeros(tool), **known}))
    return None


def _partly_given(request: ModelRequest, tools: list[Tool]) -> Decision | None:
    """The function that the last words give most to: called when the rest is known, else asked on for."""
    said = asked_and_said(request)[-1:]
    best: tuple[int, Tool, dict[str, Any], list[str]] | None = None
    for tool in tools:
        properties = tool.schema["properties"]
        fresh = sum(
            bool(said) and value_of(request, tool, name, said[0][1], said[0][0]) is not None for name in properties
        )
        known, missing = fill(request, tool)
        if fresh and (best is None or fresh * 10 - len(missing) > best[0]):
            best = (fresh * 10 - len(missing), tool, known, missing)
    if best is None:
        return None
    _, tool, known, missing = best
    if missing:
        return Decision(text=_question(request, tool, missing))
    return Decision(call=(tool.name, {**_zeros(tool), **known}))


def _has_run(request: ModelRequest, tool: Tool) -> bool:
    """Whether it was called since the flow was entered."""
    count = 0
    reach = _reach(request)
    for message in reversed(request.history):
        if message.role == "function" and message.name == tool.name:
            return True
        count += message.role == "user"
        if count >= reach:
            return False
    return False


def answers_step(request: ModelRequest, intents: Intents) -> bool:
    """Whether the last words give the step something it waits for."""
    said = _last_words(request)
    tools = _step_tools(request)
    if intents.special(said, tools) is not None:
        return True
    if not phrases.is_question(said) and _decided(said, tools) is not None:
        return True
    asked = asked_and_said(request)[-1:]
    return any(
        value_of(request, tool, name, said, asked[0][0]) is not None
        for tool in tools
        for name in tool.schema["properties"]
        if asked
    )


def call(request: ModelRequest, name: str, intents: Intents) -> Decision:
    """A call of that tool, with whatever arguments the conversation gives; the function itself deals with the rest."""
    tool = next(t for t in request.tools if t.name == name)
    known, missing = fill(request, tool, only_last=True)
    said = _last_words(request)
    for parameter in missing:
        described = tool.schema["properties"][parameter].get("description", "").lower()
        if tool.schema["properties"][parameter]["type"] == "string" and re.search(
            r"reason|why|what .*want|utterance", described + parameter
        ):
            known[parameter] = said if "utterance" not in parameter else "One moment, please."
    return Decision(call=(name, {**_zeros(tool), **known}))


def fill(request: ModelRequest, tool: Tool, *, only_last: bool = False) -> tuple[dict[str, Any], list[str]]:
    """(arguments that the caller's words give, newest first; names of those still missing)."""
    said = asked_and_said(request)
    if only_last:
        said = said[-1:]
    reach = _reach(request)
    since, rejection = _rejected(request)
    known: dict[str, Any] = {}
    missing = []
    for name, schema in tool.schema["properties"].items():
        for number, (asked, words) in enumerate(reversed(said)):
            if number >= reach or (number >= since and _asks_again(rejection, name, schema)):
                continue
            value = value_of(request, tool, name, words, asked)
            if value is not None:
                known[name] = value
                break
        else:
            if not _OPTIONAL.search(schema.get("description", "")):
                missing.append(name)
    return known, missing


def asked_and_said(request: ModelRequest) -> list[tuple[str, str]]:
    """What the caller said, each with what the agent had said before it."""
    found, asked = [], ""
    for message in request.history:
        if message.role == "assistant" and message.content:
            asked = message.content
        elif message.role == "user" and not phrases.is_silence(message.content):
            found.append((asked, message.content))
    return found


def last_question(request: ModelRequest) -> str:
    """What the agent asked last."""
    for message in reversed(request.history):
        if message.role == "assistant" and "?" in message.content:
            return (
                re.split(r"(?<=[.!?])\s+", message.content.strip())[-1]
                if message.content.strip().endswith("?")
                else message.content
            )
    return ""


def _reach(request: ModelRequest) -> int:
    """How many of the caller's messages count: those from the one on that led into this flow."""
    own = set(request.step.functions) if request.step is not None else set()
    outside = {tool.name for tool in request.tools} - own
    count = 0
    is_entered = False
    for message in reversed(request.history):
        if message.role == "user":
            count += 1
            if is_entered:
                break
        elif message.role == "function" and message.name in outside:
            is_entered = True
    return max(count, 1)


def _rejected(request: ModelRequest) -> tuple[int, str]:
    """(how many messages came since a function of this step last could not use what it was given, what it said)."""
    own = set(request.step.functions) if request.step is not None else set()
    since = 0
    for message in reversed(request.history):
        if message.role == "user":
            since += 1
        elif message.role == "function" and message.name in own and message.content and since:
            return since, message.content.lower()
    return since, ""


def _asks_again(rejection: str, name: str, schema: dict[str, Any]) -> bool:
    keys = {*name.split("_"), *_nouns(schema.get("description", ""))}
    return any(re.search(rf"\b{re.escape(key)}\b", rejection) for key in keys if len(key) > 2)


def _step_tools(request: ModelRequest) -> list[Tool]:
    assert request.step is not None
    named = set(called_names(request.step.text.text, request.tools))
    own = [tool for tool in request.tools if tool.name in request.step.functions or tool.name in named]
    order = called_names(request.step.text.text, own)
    return sorted(own, key=lambda tool: order.index(tool.name) if tool.name in order else len(order))


def _last_words(request: ModelRequest) -> str:
    return next((m.content for m in reversed(request.history) if m.role == "user"), "")


def _decided(said: str, tools: list[Tool]) -> Tool | None:
    """The function without arguments that a yes or a no calls for."""
    answer = find_yes_no(said)
    if answer is None:
        return None
    deciding = [tool for tool in tools if not tool.schema["properties"]]
    return next((tool for tool in deciding if polarity(tool) is answer), None)


def _zeros(tool: Tool) -> dict[str, Any]:
    return {name: _ZERO[schema["type"]] for name, schema in tool.schema["properties"].items()}


def value_of(request: ModelRequest, tool: Tool, name: str, said: str, asked: str) -> Any:
    """What the words say about one parameter, judged by its type, its name and its description."""
    schema = tool.schema["properties"][name]
    described = f"{name.replace('_', ' ')}: {schema.get('description', '')}"
    lower = described.lower()
    now = request.now or datetime.now(UTC)
    if schema["type"] == "boolean":
        return find_yes_no(said)
    if "enum" in schema:
        return find_choice(said, schema["enum"])
    options = _OPTIONS.findall(schema.get("description", ""))
    if len(options) >= 2 and not re.search(r"\be\.?g\b|for example|such as|format", lower):
        return _choice(said, options)
    if re.search(r"\b(?:date|day|when)\b", lower) and "time" not in name:
        found = find_date(said, now)
        return found.isoformat() if found else None
    if re.search(r"\btime\b|\bhh:mm\b", lower):
        offered = _times_in(request)
        return find_time(said, likely=offered) or _nth(said, offered)
    if "mail" in lower:
        return find_email(said)
    if re.search(r"\b(?:phone|telephone|mobile|callback)\b", lower):
        return find_phone(said)
    if match := _DIGIT_COUNT.search(lower):
        count = _COUNTS.get(match.group(1).lower()) or int(match.group(1))
        return next((run for run in digit_runs(said) if len(run) == count), None)
    if re.search(r"\bnames?\b", lower) and schema["type"] == "string":
        # A name is taken only when it was asked for or is given as one: anything can look like a name.
        return find_name(said) if "name" in asked.lower() or _NAMED.search(said) else None
    if schema["type"] in ("integer", "number"):
        return find_number(said)
    if re.search(r"\b(?:number|reference|code|id)\b", lower):
        runs = digit_runs(said)
        return max(runs, key=len) if runs else None
    return None


def _choice(said: str, options: list[str]) -> str | None:
    found = find_choice(said, options)
    if found is not None:
        return found
    return next(
        (o for o in options if o.lower() in SYNONYMS and re.search(SYNONYMS[o.lower()], said, re.IGNORECASE)), None
    )


def _nth(said: str, offered: tuple[str, ...]) -> str | None:
    """ "The first one", "the last": one of what was offered."""
    match = re.search(r"\b(first|earliest|second|third|fourth|last|latest)\b", said, re.IGNORECASE)
    if match is None or not offered:
        return None
    place = {"first": 0, "earliest": 0, "second": 1, "third": 2, "fourth": 3}.get(match.group(1).lower(), -1)
    return offered[place] if place < len(offered) else None


def _times_in(request: ModelRequest) -> tuple[str, ...]:
    """Times that the step's prompt offers, which settle what a bare hour means."""
    text = request.step.text.text if request.step is not None else ""
    found = []
    for part in re.findall(r"\b\d{1,2}(?::\d{2})?\s*(?:[ap]\.?m\b)?", text):
        time = find_time(part.strip()) if re.search(r"[ap]\.?m|:", part) else None
        if time:
            found.append(time)
    return tuple(found)


def _question(request: ModelRequest, tool: Tool, missing: list[str]) -> str:
    """The author's own question for the first missing thing, else one made of its description."""
    assert request.step is not None
    prompt = request.step.text.text
    asked = questions(prompt)
    properties = tool.schema["properties"]
    if len(missing) == len(properties) and len(asked) == 1:
        return asked[0]
    for name in missing:
        keys = {name.replace("_", " "), *name.split("_"), *_nouns(properties[name].get("description", ""))}
        for line in prompt.split("\n"):
            found = questions(line)
            lead = line.split('"')[0].lower()
            if found and any(re.search(rf"\b{re.escape(key)}\b", lead) for key in keys if len(key) > 2):
                return found[0]
    if asked:
        return asked[0]
    described = properties[missing[0]].get("description", "").split(",")[0].split(".")[0].strip() or missing[0].replace(
        "_", " "
    )
    return f"Could you tell me {described[:1].lower()}{described[1:]}?"


def _nouns(description: str) -> list[str]:
    return [
        word
        for word in re.findall(r"[a-z]{3,}", description.lower().split(":")[0])
        if word not in ("the", "format", "digits", "only", "caller", "what")
    ]
