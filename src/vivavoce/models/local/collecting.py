"""What to do in a default step: save what was just said, take a condition that is complete, ask for what one still needs."""

from __future__ import annotations

import re
from typing import Any

from vivavoce.domain.conversation import ModelRequest, Tool
from vivavoce.entities.numbers import digit_runs
from vivavoce.models.local import phrases
from vivavoce.models.local.intents import Intents
from vivavoce.models.local.reading import Decision, called_names, questions
from vivavoce.models.local.steps import asked_and_said, value_of

SAVE = "save_entities"
_SAVED = re.compile(r"\b(\w+) = ")
_NEEDS = re.compile(r"Needs these saved first: ([\w, ]+)\.")
_REFUSED = re.compile(r"Not saved: (\w+): ([^.;\n]+)")
_GIVES_UP = re.compile(
    r"\b(?:never ?mind|forget it|cancel|changed my mind|leave it|(?:do not|don't) want)\b", re.IGNORECASE
)


def is_collecting(request: ModelRequest) -> bool:
    return request.step is not None and SAVE in request.step.functions and any(t.name == SAVE for t in request.tools)


def next_move(request: ModelRequest, intents: Intents, *, is_fresh: bool = False) -> Decision:
    """`is_fresh` when the step was only just entered, or something was saved just now."""
    save = next(tool for tool in request.tools if tool.name == SAVE)
    conditions = [
        t for t in request.tools if request.step is not None and t.name in request.step.functions and t is not save
    ]
    said = asked_and_said(request)[-1:]
    if not is_fresh and said:
        asked, words = said[0]
        fresh = {
            name: value for name in save.schema["properties"] if (value := _text(request, save, name, words, asked))
        }
        if fresh:
            return Decision(call=(SAVE, fresh))
        special = intents.special(words, conditions) or _way_out(words, conditions)
        if special is not None:
            return Decision(call=(special.name, {}))
    missing = _missing(request, conditions) or [n for n in save.schema["properties"] if n not in _saved(request)]
    if not missing:
        ready = [t for t in conditions if _NEEDS.search(t.description)]
        return Decision(call=(ready[0].name, {})) if ready else Decision(text="Is there anything else?", is_sure=False)
    return Decision(text=_question(request, save, missing[0]), is_sure=is_fresh)


def after_saving(request: ModelRequest, content: str, intents: Intents) -> Decision:
    """The result of saving says which conditions are complete, and what was refused."""
    assert request.step is not None
    ready = [name for name in called_names(content, request.tools) if name in request.step.functions and name != SAVE]
    if ready:
        return Decision(call=(ready[0], {}))
    refused = _REFUSED.search(content)
    if refused:
        save = next(tool for tool in request.tools if tool.name == SAVE)
        reason = f"Sorry, {refused[2]}." if refused[2] else "I did not get that."
        return Decision(text=f"{reason} {_question(request, save, refused[1])}")
    return next_move(request, intents, is_fresh=True)


def _way_out(words: str, conditions: list[Tool]) -> Tool | None:
    """Whoever gives up takes the condition that needs nothing, when there is just one."""
    free = [tool for tool in conditions if not _NEEDS.search(tool.description)]
    return free[0] if len(free) == 1 and _GIVES_UP.search(words) else None


def _text(request: ModelRequest, save: Tool, name: str, words: str, asked: str) -> str:
    schema = save.schema["properties"][name]
    described = schema.get("description", "")
    is_asked = _is_asked(save, name, asked)
    if not is_asked and ("number from" in described or "A number" in described or "whole number" in described):
        return ""  # any number looks like one: only the answer to the question is
    if (
        digit_runs(words)
        and len(max(digit_runs(words), key=len)) >= 7
        and "telephone" not in described
        and "digits" not in described
    ):
        return ""  # a telephone number is nothing else
    found: Any = value_of(request, save, name, words, asked)
    if found is None and is_asked and not phrases.is_question(words):
        return words  # the answer to what was asked, whatever it is: it is checked when it is saved
    return "" if found is None else str(found)


def _is_asked(save: Tool, name: str, asked: str) -> bool:
    """Whether the agent's last words asked for it, by its description or by its name."""
    described = save.schema["properties"][name].get("description", "").split(".")[0].strip().lower()
    keys = [described, *(word for word in name.lower().split("_") if len(word) > 3)]
    nouns = [
        word for word in re.findall(r"[a-z]{4,}", described) if word not in ("which", "what", "their", "them", "number")
    ]
    return any(key and re.search(rf"\b{re.escape(key)}\b", asked.lower()) for key in (*keys, *nouns))


def _missing(request: ModelRequest, conditions: list[Tool]) -> list[str]:
    """What some condition needs and nobody has saved, in the order of the conditions."""
    saved = _saved(request)
    needed = [
        name.strip() for tool in conditions for m in _NEEDS.finditer(tool.description) for name in m[1].split(",")
    ]
    return [name for name in dict.fromkeys(needed) if name not in saved]


def _saved(request: ModelRequest) -> set[str]:
    results = [m.content for m in request.history if m.role == "function" and m.name == SAVE and m.content]
    return {
        name
        for content in results
        for line in content.split("\n")
        if line.startswith("Saved:")
        for name in _SAVED.findall(line)
    }


def _question(request: ModelRequest, save: Tool, name: str) -> str:
    """The author's own question where the prompt has one for it, else one made of its description."""
    assert request.step is not None
    own = questions(request.step.text.text)
    if len(save.schema["properties"]) == 1 and own:
        return own[0]
    keys = [name.replace("_", " "), name, *(word for word in name.split("_") if len(word) > 2)]
    for line in request.step.text.text.split("\n"):
        asked = questions(line)
        if asked and any(re.search(rf"\b{re.escape(key)}\b", line, re.IGNORECASE) for key in keys):
            return asked[0]
    described = save.schema["properties"][name].get("description", "").split(".")[0].strip() or name.replace("_", " ")
    return f"Could you tell me {described[:1].lower()}{described[1:]}?"
