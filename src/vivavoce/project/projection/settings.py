"""agent_settings/, voice/ and chat/: what there is once of an agent.

The client can neither make nor remove these, so all are served whether a folder has their files or not. But guardrails are
served only where it has: else older folders, which know nothing of them, could not be pushed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from vivavoce.errors import NOT_JSON
from vivavoce.project import layout
from vivavoce.project.projection.parts import (
    Folder,
    Json,
    Part,
    as_text,
    collection,
    entities,
    mapping,
    suffixes,
    texts,
)

CATEGORIES = {"violence": "violence", "hate": "hate", "sexual": "sexual", "self_harm": "selfHarm"}
PRECISIONS = {"lenient": "LOOSE", "medium": "MEDIUM", "strict": "STRICT"}
GUARDRAILS = (
    "jailbreak_defence", "hallucination_control", "ai_identity", "emergency_escalation", "tool_call_integrity",
)  # fmt: skip
FILLERS = {
    "enabled": "enabled",
    "phrases": "utterances",
    "randomize": "randomize",
    "initial_interval_seconds": "initialIntervalSeconds",
    "interval_seconds": "intervalSeconds",
}
AMBIENCE = ("enabled", "preset", "loudness")
EXPERIMENTAL_ID = "default"


def read(folder: Folder) -> Json:
    voice = folder.yaml(layout.VOICE)
    return {
        "agentSettings": {
            "persona": {"content": folder.text(layout.PERSONA)},
            "rules": {"behaviour": folder.text(layout.RULES)},
        },
        "languages": _languages(folder, voice),
        "contentFilterSettings": _filters(folder.yaml(layout.SAFETY[""]), is_channel=False),
        "experimentalConfig": {"experimentalConfigs": collection(_experimental(folder))},
        "channels": {"voice": _voice(folder, voice), "webChat": _chat(folder)},
        **({"guardrails": _guardrails(folder)} if layout.GUARDRAILS in folder.files else {}),
    }


def write(projection: Json) -> Iterator[Part]:
    agent = projection["agentSettings"]
    yield Part(path=layout.PERSONA, content=agent["persona"]["content"])
    yield Part(path=layout.RULES, content=agent["rules"]["behaviour"])
    languages = projection["languages"]
    additional = [each["code"] for each in entities(languages, "additionalLanguages").values()]
    yield Part(
        path=layout.LANGUAGES,
        content={"default_language": languages["defaultLanguageCode"], "additional_languages": additional},
    )
    yield Part(path=layout.SAFETY[""], content={"categories": _written_categories(projection["contentFilterSettings"])})
    for each in entities(projection, "experimentalConfig", "experimentalConfigs").values():
        features = each["features"]
        yield Part(path=layout.EXPERIMENTAL, content=_as_client(features), over=partial(_over_features, features))
    yield from _written_voice(projection["channels"]["voice"])
    yield from _written_chat(projection["channels"]["webChat"])
    if guardrails := projection.get("guardrails"):
        yield _written_guardrails(guardrails)


# Languages, experimental configuration.


def _languages(folder: Folder, voice: Json) -> Json:
    file = folder.yaml(layout.LANGUAGES)
    spoken = as_text(mapping(voice.get("greeting")).get("language_code"))
    return {
        "defaultLanguageCode": as_text(file.get("default_language")) or spoken or "en-GB",
        "additionalLanguages": collection(
            {code: {"id": code, "code": code} for code in texts(file.get("additional_languages"))}
        ),
    }


def _experimental(folder: Folder) -> dict[str, Json]:
    try:
        features = msgspec.json.decode(folder.files.get(layout.EXPERIMENTAL, b"{}"))
    except NOT_JSON:
        return {}
    return {EXPERIMENTAL_ID: {"id": EXPERIMENTAL_ID, "features": mapping(features), "active": True}}


def _as_client(features: Json) -> str:
    return json.dumps(features, indent=2, sort_keys=True, ensure_ascii=False)


def _over_features(features: Json, source: str) -> str:
    """As the client would write them, unless the author has put them in an order of their own."""
    try:
        own = json.loads(source)
    except (ValueError, RecursionError):
        return _as_client(features)
    if source == _as_client(own):
        return _as_client(features)
    return json.dumps(_in_order_of(own, features), indent=2, ensure_ascii=False) + "\n"


def _in_order_of(own: Any, value: Any) -> Any:
    if not (isinstance(own, dict) and isinstance(value, dict)):
        return value
    keys = [*(key for key in own if key in value), *(key for key in value if key not in own)]
    return {key: _in_order_of(own.get(key), value[key]) for key in keys}


# Content filters. Where a folder says nothing of a channel's, the channel has none of its own.


def _filters(file: Json, *, is_channel: bool) -> Json:
    written = mapping(file.get("categories"))
    categories = {}
    for name, key in CATEGORIES.items():
        item = mapping(written.get(name))
        level = as_text(item.get("level")) or "medium"
        categories[key] = {"isActive": item.get("enabled") is True, "precision": PRECISIONS.get(level, level)}
    is_on = file.get("enabled") is True if is_channel else any(each["isActive"] for each in categories.values())
    return {"type": "azure", "disabled": not is_on, "azureConfig": categories}


def _written_categories(filters: Json) -> Json:
    levels = {value: level for level, value in PRECISIONS.items()}
    config = filters.get("azureConfig") or {}
    return {
        name: {
            "enabled": bool(mapping(config.get(key)).get("isActive")),
            "level": levels.get(precision := mapping(config.get(key)).get("precision") or "MEDIUM", precision),
        }
        for name, key in CATEGORIES.items()
    }


def _written_filters(path: str, filters: Json) -> Part:
    return Part(path=path, content={"enabled": not filters.get("disabled"), "categories": _written_categories(filters)})


# Channels.


def _greeting(file: Json) -> Json:
    item = mapping(file.get("greeting"))
    return {
        "welcomeMessage": as_text(item.get("welcome_message")),
        "languageCode": as_text(item.get("language_code")) or "en-GB",
    }


def _style(file: Json) -> Json:
    return {"prompt": as_text(mapping(file.get("style_prompt")).get("prompt"))}


def _voice(folder: Folder, file: Json) -> Json:
    disclaimer = mapping(file.get("disclaimer_messages"))
    found: Json = {
        "status": 1,
        "config": {
            "greeting": _greeting(file),
            "stylePrompt": _style(file),
            "safetyFilters": _filters(folder.yaml(layout.SAFETY["voice"]), is_channel=True),
        },
        "disclaimer": {
            "message": as_text(disclaimer.get("message")),
            "isEnabled": disclaimer.get("enabled") is True,
            "languageCode": as_text(disclaimer.get("language_code")) or "en-GB",
        },
    }
    if fillers := mapping(file.get("filler_phrases")):
        found["silenceFillerUtterances"] = {
            key: [{"message": text} for text in texts(fillers[name])] if name == "phrases" else fillers[name]
            for name, key in FILLERS.items()
            if name in fillers
        }
    if ambience := mapping(file.get("background_ambience")):
        found["ambience"] = {name: ambience[name] for name in AMBIENCE if name in ambience}
    asr = folder.yaml(layout.ASR)
    if isinstance(asr.get("speech_end_delay_ms"), (int, float)):
        found["vadConfig"] = {"speechEndWindowSeconds": asr["speech_end_delay_ms"] / 1000}
    barge_in = asr.get("barge_in")
    if isinstance(barge_in, bool):
        barge_in = {"enabled": barge_in}
    if isinstance(barge_in, dict):
        found["bargeInConfig"] = {
            "enabled": barge_in.get("enabled") is True,
            "allowedFirstTurn": barge_in.get("allow_on_first_turn") is True,
            **({"maxPerCall": barge_in["max_per_call"]} if barge_in.get("max_per_call") is not None else {}),
        }
    return found


def _written_voice(voice: Json) -> Iterator[Part]:
    config = voice["config"]
    content: Json = {
        "disclaimer_messages": {
            "message": voice["disclaimer"]["message"],
            "enabled": voice["disclaimer"]["isEnabled"],
            "language_code": voice["disclaimer"]["languageCode"],
        },
        **_written_channel(config),
    }
    if fillers := voice.get("silenceFillerUtterances"):
        content["filler_phrases"] = {
            name: [each["message"] for each in fillers[key]] if name == "phrases" else fillers[key]
            for name, key in FILLERS.items()
            if key in fillers
        }
    if ambience := voice.get("ambience"):
        content["background_ambience"] = {name: ambience[name] for name in AMBIENCE if name in ambience}
    yield Part(path=layout.VOICE, content=content)
    yield _written_filters(layout.SAFETY["voice"], config["safetyFilters"])
    asr: dict[str, Any] = {}
    if vad := voice.get("vadConfig"):
        asr["speech_end_delay_ms"] = round(vad["speechEndWindowSeconds"] * 1000)
    if barge_in := voice.get("bargeInConfig"):
        asr["barge_in"] = {
            "enabled": bool(barge_in.get("enabled")),
            "allow_on_first_turn": bool(barge_in.get("allowedFirstTurn")),
            **({"max_per_call": barge_in["maxPerCall"]} if barge_in.get("maxPerCall") is not None else {}),
        }
    yield Part(path=layout.ASR, content=asr)


def _written_channel(config: Json) -> Json:
    greeting = config["greeting"]
    return {
        "greeting": {"welcome_message": greeting["welcomeMessage"], "language_code": greeting["languageCode"]},
        "style_prompt": {"prompt": config["stylePrompt"]["prompt"]},
    }


def no_chat() -> Json:
    """A channel for web chat as it is before it says anything."""
    return {"greeting": _greeting({}), "stylePrompt": _style({}), "safetyFilters": _filters({}, is_channel=True)}


def _chat(folder: Folder) -> Json:
    if layout.CHAT not in folder.files and layout.SAFETY["chat"] not in folder.files:
        return {"status": 0}
    file = folder.yaml(layout.CHAT)
    filters = _filters(folder.yaml(layout.SAFETY["chat"]), is_channel=True)
    return {
        "status": 1,
        "config": {"greeting": _greeting(file), "stylePrompt": _style(file), "safetyFilters": filters},
    }


def _written_chat(chat: Json) -> Iterator[Part]:
    if chat.get("status"):
        yield Part(path=layout.CHAT, content=_written_channel(chat["config"]))
        yield _written_filters(layout.SAFETY["chat"], chat["config"]["safetyFilters"])


# Guardrails: carried along.


def no_guardrails() -> Json:
    return {"guardrails": {name.upper(): {"enabled": False} for name in GUARDRAILS}}


def _guardrails(folder: Folder) -> Json:
    on = {
        as_text(item.get("name")): item.get("enabled", True) is True
        for item in folder.items(layout.GUARDRAILS, "platform_guardrails")
    }
    custom = folder.items(layout.GUARDRAILS, "custom_guardrails")
    found = {}
    for suffix, item in zip(suffixes("guardrail", (as_text(each.get("name")) for each in custom)), custom, strict=True):
        id = folder.id("CUSTOM_GUARDRAILS", layout.GUARDRAILS + suffix)
        found[id] = {
            "id": id,
            "name": as_text(item.get("name")),
            "enabled": item.get("enabled", True) is True,
            "action": as_text(item.get("action")),
            "prompt": as_text(item.get("prompt")),
        }
    return {
        "guardrails": {name.upper(): {"enabled": on.get(name, False)} for name in GUARDRAILS},
        "customGuardrails": collection(found),
    }


def _written_guardrails(guardrails: Json) -> Part:
    custom = entities(guardrails, "customGuardrails")
    content: Json = {
        "platform_guardrails": [
            {"name": name, "enabled": guardrails["guardrails"][name.upper()]["enabled"]} for name in GUARDRAILS
        ]
    }
    if custom:
        content["custom_guardrails"] = [
            {key: each[key] for key in ("name", "enabled", "action", "prompt")} for each in custom.values()
        ]
    names = [each["name"] for each in custom.values()]
    return Part(
        path=layout.GUARDRAILS, content=content, ids=dict(zip(suffixes("guardrail", names), custom, strict=True))
    )
