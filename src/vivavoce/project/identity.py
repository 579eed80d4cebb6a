"""project.yaml and agent_settings/: who the agent is, how it speaks, in which languages."""

from __future__ import annotations

import re

from vivavoce.domain.agent import (
    ChannelSettings,
    Fillers,
    Greeting,
    Identity,
    Languages,
    Persona,
    SafetyCategory,
    SafetyFilters,
)
from vivavoce.domain.ids import clean_name
from vivavoce.project.source import Faults, Mapping

ADJECTIVES = ("Polite", "Calm", "Kind", "Funny", "Energetic", "Thoughtful", "Other")
LEVELS = ("lenient", "medium", "strict")
MOST_LANGUAGES = 10
CATEGORIES = ("violence", "hate", "sexual", "self_harm")
LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_language(tag: str) -> bool:
    return LANGUAGE_TAG.fullmatch(tag) is not None


def identity(source: Mapping, folder_name: str) -> Identity:
    agent_id = source.text("project_id") or clean_name(folder_name) or "agent"
    account_id = source.text("account_id") or "local"
    for key, value in (("project_id", agent_id), ("account_id", account_id)):
        if not _SLUG.fullmatch(value):
            source.error(key, "bad-id", f"{key} is {value!r}; use letters, digits, dots, dashes and underscores.")
    found = Identity(
        agent_id=agent_id, account_id=account_id, region=source.text("region"), name=source.text("project_name")
    )
    source.text("account_name")
    source.text("branch_id")
    source.close()
    return found


def persona(personality: Mapping, role: Mapping, text: str) -> Persona:
    chosen = personality.mapping("adjectives")
    for key in chosen.keys:
        if key not in ADJECTIVES:
            chosen.error(key, "unknown-value", f"{key} is not one of {', '.join(ADJECTIVES)}.")
    adjectives = tuple(a for a in ADJECTIVES if chosen.flag(a))
    if "Other" in adjectives and len(adjectives) > 1:
        personality.error("adjectives", "conflict", "Other stands alone: switch the other adjectives off, or Other.")
    value = role.text("value")
    if value.lower() == "other":
        name = role.text("custom")
    else:
        role.text("custom")
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", value).lower()
    found = Persona(
        adjectives=adjectives,
        custom=personality.text("custom"),
        role=name,
        additional_info=role.text("additional_info"),
        text=text,
    )
    personality.close()
    role.close()
    return found


def languages(source: Mapping | None, greeting_language: str) -> Languages:
    if source is None:
        return Languages(default=greeting_language or "en-GB")
    default = source.text("default_language", greeting_language or "en-GB", required=True)
    additional = source.texts("additional_languages")
    if len(additional) > MOST_LANGUAGES:
        source.warn(
            "additional_languages", "too-many", f"The format has at most {MOST_LANGUAGES} additional languages."
        )
    for tag in (default, *additional):
        if not is_language(tag):
            source.error("default_language", "bad-language", f"{tag!r} is not a language tag such as en-GB.")
    if len(set(additional)) != len(additional) or default in additional:
        source.error("additional_languages", "duplicate", "Each language may be named once, and the default not again.")
    source.close()
    return Languages(default=default, additional=additional)


def channel(source: Mapping, *, is_voice: bool) -> ChannelSettings:
    greeting = source.mapping("greeting")
    disclaimer = source.mapping("disclaimer_messages")
    enabled = disclaimer.flag("enabled")
    spoken = Greeting(text=disclaimer.text("message"), language=disclaimer.text("language_code", "en-GB"))
    found = ChannelSettings(
        greeting=Greeting(
            text=greeting.text("welcome_message", required=bool(greeting)),
            language=greeting.text("language_code", "en-GB"),
        ),
        style=source.mapping("style_prompt").text("prompt"),
        disclaimer=spoken if enabled and is_voice else None,
        fillers=_fillers(source.mapping("filler_phrases")) if is_voice else None,
    )
    if is_voice:
        _ambience(source.mapping("background_ambience"))
    elif disclaimer:
        source.warn("disclaimer_messages", "no-effect", "Disclaimers are for voice only and are ignored here.")
    source.close()
    return found


def _ambience(source: Mapping) -> None:
    """Kept for the client that carries it; nothing is played, and its author is told so."""
    if source.flag("enabled"):
        source.warn("enabled", "no-effect", "No sounds are played in the background here.")
    source.text("preset")
    source.number("loudness", 0)
    source.close()


def _fillers(source: Mapping) -> Fillers | None:
    texts = source.texts("phrases")
    first, interval = source.number("initial_interval_seconds", 2.5), source.number("interval_seconds", 5)
    is_random = source.flag("randomize", True)
    if not source.flag("enabled"):
        return None
    return Fillers(texts={"": texts}, first_after=first, interval=interval, is_random=is_random)


def safety(source: Mapping, *, is_channel: bool) -> SafetyFilters:
    categories = source.mapping("categories", required=True)
    found = {}
    for name in CATEGORIES:
        item = categories.mapping(name, required=True)
        level = item.text("level", "medium", one_of=LEVELS)
        found[name] = SafetyCategory(enabled=item.flag("enabled"), level=level)  # type: ignore[arg-type]  # one_of holds it
    categories.close()
    if is_channel and "enabled" not in source:
        source.error("enabled", "missing", "enabled is missing; a channel's safety filters must say true or false.")
    enabled = source.flag("enabled") if is_channel else any(c.enabled for c in found.values())
    source.close(ignore=("enabled",))
    return SafetyFilters(enabled=enabled, categories=found)


def check_language(faults: Faults, path: str, line: int, tag: str) -> None:
    if tag and not is_language(tag):
        faults.error(path, line, "bad-language", f"{tag!r} is not a language tag such as en-GB.")
